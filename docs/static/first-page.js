// The first page comes in the browser's language, until the reader chooses the other one.
{
  const chosen = localStorage.getItem("language") ?? navigator.language;
  if (chosen.startsWith("zh")) location.replace("index.zh-CN.html" + location.hash);
}
