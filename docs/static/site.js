// From a disk a page cannot read another one, so the results of a search show no excerpts there.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;

document.addEventListener("DOMContentLoaded", () => {
  const chinese = document.documentElement.lang.startsWith("zh");
  document.querySelector(".sidebar-drawer")?.setAttribute("aria-label", chinese ? "导航" : "Site");
  document.querySelector(".toc-drawer")?.setAttribute("aria-label", chinese ? "本页" : "This page");
  for (const link of document.querySelectorAll(".language a"))
    link.addEventListener("click", () => localStorage.setItem("language", link.lang));
  // What scrolls can be reached with the keyboard.
  for (const box of document.querySelectorAll("pre, .table-wrapper, .equation"))
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
});
