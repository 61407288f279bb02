// What the page shows, in its address: #?KEY=VALUE&...&at=SECTION. So a view can be reloaded and shared.

const kept = new Map(); // key -> {read, write}; an empty text is the state without an address
let applying = false;
let place = "";

/** Keeps a part of the state: `read` gives it as text, `write` takes that text back. */
function keep(key, read, write) {
  kept.set(key, { read, write });
}

/** Writes the state to the address; no step back is added for it. */
function remember() {
  if (applying) return;
  const state = new URLSearchParams();
  for (const [key, part] of kept) {
    const text = part.read();
    if (text) state.set(key, text);
  }
  if (place) state.set("at", place);
  const keys = [...state.keys()];
  const only = keys.length === 1 && keys[0] === "at";
  const hash = !keys.length ? "" : only ? `#${place}` : `#?${state}`;
  if (hash !== location.hash) history.replaceState(null, "", hash || location.pathname + location.search);
}

/** Takes the state from the address. A plain #SECTION is a step within the view that is there. */
function recall() {
  const hash = location.hash.slice(1);
  if (!hash.startsWith("?")) {
    place = decodeURIComponent(hash);
    remember();
    return;
  }
  const state = new URLSearchParams(hash.slice(1));
  applying = true;
  for (const [key, part] of kept) part.write(state.get(key) ?? "");
  applying = false;
  place = state.get("at") ?? "";
  if (place) document.getElementById(place)?.scrollIntoView();
}

function startState() {
  recall();
  window.addEventListener("hashchange", recall);
}

/** A group of charts whose state is kept. */
function groupKept(name) {
  const group = new ChartGroup();
  for (const which of ["x", "y"]) {
    keep(`${name}.${which}`, () => group.axes[which] ?? "", (key) => {
      group.axes[which] = key || null;
    });
  }
  keep(`${name}.hide`, () => (group.hidden.size ? JSON.stringify([...group.hidden]) : ""), (text) => {
    group.hidden = new Set(listIn(text));
  });
  const look = () => [group.bands ? "" : "plain", group.log ? "log" : "", group.seeds ? "seeds" : ""].filter(Boolean).join(" ");
  keep(`${name}.look`, look, (text) => {
    group.bands = !text.split(" ").includes("plain");
    group.log = text.split(" ").includes("log");
    group.seeds = text.split(" ").includes("seeds");
    group.changed();
  });
  return group;
}

/** A list of names in an address that anybody may have written. */
function listIn(text) {
  try {
    const found = JSON.parse(text || "[]");
    return Array.isArray(found) ? found.filter((each) => typeof each === "string") : [];
  } catch {
    return [];
  }
}
