// From a disk a page cannot read another one, so the results of a search show no excerpts there.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;

// Pictures for the dark follow the page's switch, not only the system's.
const chooseColours = () => {
  const chosen = { dark: "all", light: "not all" }[document.body.dataset.theme];
  for (const source of document.querySelectorAll("picture source"))
    source.media = chosen ?? "(prefers-color-scheme: dark)";
};

document.addEventListener("DOMContentLoaded", () => {
  const chinese = document.documentElement.lang.startsWith("zh");
  document.querySelector(".sidebar-drawer")?.setAttribute("aria-label", chinese ? "导航" : "Site");
  document.querySelector(".toc-drawer")?.setAttribute("aria-label", chinese ? "本页" : "This page");
  for (const link of document.querySelectorAll(".language a"))
    link.addEventListener("click", () => localStorage.setItem("language", link.lang));
  new MutationObserver(chooseColours).observe(document.body, { attributeFilter: ["data-theme"] });
  chooseColours();
  // An empty corner of a table is no heading.
  for (const corner of document.querySelectorAll("th"))
    if (!corner.textContent.trim()) corner.replaceWith(document.createElement("td"));
  // What scrolls can be reached with the keyboard.
  for (const box of document.querySelectorAll("pre, .table-wrapper, .equation"))
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
});
