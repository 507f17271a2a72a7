"""What all pages share: their look and the switch of language. They fetch nothing from anywhere."""

import html

STYLE = """
:root { color-scheme: light dark; --ink: #1d1d1f; --soft: #5a5a60; --page: #fff; --card: #f5f5f2;
  --line: #d9d9d4; --link: #00578a; --holds: #00664b; --fails: #a33c00; --depends: #6b5200; }
@media (prefers-color-scheme: dark) { :root { --ink: #e9e9e6; --soft: #a9a9a6; --page: #17181a;
  --card: #222427; --line: #3b3d41; --link: #7cc4f0; --holds: #5fd0ab; --fails: #ff9a66;
  --depends: #f0c75e; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 46rem; background: var(--page); color: var(--ink);
  font: 1rem/1.55 system-ui, "Noto Sans", "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei",
  sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: .5rem 0; }
h2 { font-size: 1.3rem; margin: 0 0 .5rem; }
h3 { font-size: .95rem; margin: 1.1rem 0 .2rem; color: var(--soft); }
p { margin: .3rem 0; }
a { color: var(--link); }
blockquote { margin: .6rem 0; padding: .5rem .9rem; background: var(--card);
  border-left: 4px solid var(--line); font-size: 1.05rem; }
table { border-collapse: collapse; width: 100%; font-size: .93rem; }
th, td { text-align: left; vertical-align: top; padding: .35rem .5rem .35rem 0;
  border-bottom: 1px solid var(--line); }
td:last-child, th:last-child { padding-right: 0; }
.value { text-align: right; font-variant-numeric: tabular-nums; min-width: 6.5rem; }
.verdict { font-weight: 700; white-space: nowrap; }
.holds { color: var(--holds); } .fails { color: var(--fails); } .depends { color: var(--depends); }
.not-decided { color: var(--soft); }
summary { cursor: pointer; color: var(--link); margin: .8rem 0 .2rem; }
.small { font-size: .88rem; color: var(--soft); }
.equations p { font-family: "STIX Two Text", "Cambria Math", Georgia, serif; font-size: 1.05rem; }
sub, sup { line-height: 0; font-size: .75em; }
code { font: .88em ui-monospace, Menlo, Consolas, monospace; }
pre { margin: .2rem 0; padding: .5rem .7rem; background: var(--card); white-space: pre-wrap; }
ul { margin: .2rem 0; padding-left: 1.2rem; }
button { font: inherit; padding: .25rem .8rem; color: var(--ink); background: var(--card);
  border: 1px solid var(--line); border-radius: .4rem; cursor: pointer; }
[data-language="en"] [lang="zh-CN"], [data-language="zh"] [lang="en"] { display: none; }
@media (max-width: 30rem) { body { padding: .8rem; } .value { min-width: 5rem; } }
@media print { :root { color-scheme: light; --ink: #000; --soft: #444; --page: #fff; --card: #fff;
  --line: #bbb; --link: #000; --holds: #000; --fails: #000; --depends: #000; }
  body { max-width: none; font-size: 10pt; } button { display: none; }
  tr, blockquote { break-inside: avoid; } }
"""

# The language stands in the address, ?lang=zh, and goes along with every link to a page of ours.
SCRIPT = """
const root = document.documentElement, button = document.getElementById("language");
const titles = { en: document.title, zh: root.dataset.title };
function speak(language) {
  const chinese = language === "zh";
  root.dataset.language = language;
  root.lang = chinese ? "zh-CN" : "en";
  document.title = titles[language];
  button.textContent = chinese ? "English" : "中文";
  for (const link of document.querySelectorAll("a[href]")) {
    const [page, hash] = link.getAttribute("href").split("#");
    const file = page.split("?")[0];
    if (!file.endsWith(".html") || /^[a-z]+:/.test(file)) continue;
    link.setAttribute("href", file + (chinese ? "?lang=zh" : "") + (hash ? `#${hash}` : ""));
  }
  dispatchEvent(new Event("language"));
}
button.addEventListener("click", () => {
  const language = root.dataset.language === "zh" ? "en" : "zh";
  const query = language === "zh" ? "?lang=zh" : "";
  history.replaceState(null, "", location.pathname + query + location.hash);
  speak(language);
});
speak(new URLSearchParams(location.search).get("lang") === "zh" ? "zh" : "en");
"""

_PAGE = """<!doctype html>
<html lang="en" data-language="en" data-title="{title_zh}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>{style}</style>
</head>
<body>
{body}
<script>{script}</script>
</body>
</html>
"""


def document(title: str, title_zh: str, body: str, style: str = "", script: str = "") -> str:
    """A whole page, whose own style and script come after what all pages share."""
    return _PAGE.format(
        title=html.escape(title),
        title_zh=html.escape(title_zh),
        style=STYLE + style,
        body=body,
        script=SCRIPT + script,
    )
