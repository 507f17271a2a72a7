// The state of a page stands in its address, after #, so that a link or a bookmark brings it back.
function readAddress() {
  return Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
}

let waiting;

// Browsers refuse to change the address more than a few times a second.
function writeAddress(state) {
  clearTimeout(waiting);
  waiting = setTimeout(() => {
    const entries = Object.entries(state).filter(([, value]) => value !== undefined);
    const hash = new URLSearchParams(entries).toString().replaceAll("%2C", ",");
    history.replaceState(null, "", location.pathname + location.search + (hash && `#${hash}`));
  }, 250);
}

// A finite number, or what to take in its place.
function numberOr(text, otherwise) {
  const value = Number(text);
  return text !== undefined && text !== "" && Number.isFinite(value) ? value : otherwise;
}
