"use strict";
// Asks for the state of the results folder every half second and shows it. All text is set as text, never as markup.

const POLL_MILLISECONDS = 500;
const MOST_SQUARES = 400;
const FIRST_FAILURES = 3;
const WORDS = { d: "done", x: "diverged", f: "failed", t: "timed out", i: "interrupted", u: "unusable file", ".": "not run", r: "running" };
const SIGNS = { x: "x", f: "!", t: "!", u: "!", r: "›" };
const shown = new Map();
let reported = 0;

const at = (id) => document.getElementById(id);

/** An element with text or further elements in it. */
function made(name, className, ...content) {
  const element = document.createElement(name);
  if (className) element.className = className;
  element.append(...content);
  return element;
}

const encoded = (...parts) => parts.join("/").split("/").filter((part) => part && part !== ".").map(encodeURIComponent).join("/");

function many(count, noun) {
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}

function duration(seconds) {
  if (seconds === null) return "–";
  if (seconds < 99.5) return `${Math.round(seconds)} s`;
  if (seconds < 5970) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

function seedNames(seeds) {
  if (seeds.length === 1) return `seed ${seeds[0]}`;
  const whole = seeds.every((seed, i) => i === 0 || seed === seeds[i - 1] + 1);
  return whole ? `seeds ${seeds[0]}–${seeds[seeds.length - 1]}` : `seeds ${seeds.slice(0, 8).join(", ")}${seeds.length > 8 ? ", …" : ""}`;
}

/** Puts elements into a place, making anew only those whose data has changed. */
function keep(place, name, items, make) {
  const before = shown.get(name) ?? new Map();
  const now = new Map();
  for (const [key, data] of items) {
    const text = JSON.stringify(data);
    const old = before.get(key);
    now.set(key, old?.text === text ? old : { text, element: make(data) });
  }
  shown.set(name, now);
  // One by one: to lay out thousands of squares again because of one takes a second.
  [...now.values()].forEach(({ element }, i) => {
    const there = place.children[i];
    if (there === undefined) place.append(element);
    else if (there !== element) there.replaceWith(element);
  });
  while (place.children.length > now.size) place.lastElementChild.remove();
}

function table(name, ...heads) {
  const body = made("tbody");
  const head = made("tr", "", ...heads.map((text) => made("th", "", text)));
  return { box: made("div", `scroll ${name}`, made("table", "", made("thead", "", head), body)), body };
}

// What is shown on a click.

async function showLog(title, folder, log) {
  at("detail-title").textContent = title;
  at("detail-text").textContent = "";
  at("detail-failures").replaceChildren();
  await fillLog(folder, log);
  showDetail();
}

async function fillLog(folder, log) {
  const address = `/log/${encoded(folder, log)}`;
  at("detail-log").href = address;
  at("detail-log").hidden = at("detail-lines").hidden = !log;
  const answer = log ? await fetch(address) : null;
  at("detail-lines").textContent = answer === null ? "" : answer.ok ? await answer.text() : "There is no log of it here.";
}

/** Opens it at the end of the log, where a failure is. */
function showDetail() {
  if (!at("detail").open) at("detail").showModal();
  at("detail-lines").scrollTop = at("detail-lines").scrollHeight;
}

async function showRun(folder, cell, seed, log) {
  const title = `${cell.task} ${cell.algorithm} seed ${seed}`;
  const answer = await fetch(`/run/${encoded(folder, cell.folder, `seed-${seed}.json`)}`);
  if (!answer.ok) {
    await showLog(title, folder, log);
    return;
  }
  const run = await answer.json();
  at("detail-title").textContent = title;
  const numbers = Object.entries(run.final ?? {}).map(([name, value]) => `${name.replace("_", " ")} ${numeral(value)}`);
  at("detail-text").textContent = [run.problem ?? run.status.replace("_", " "), ...numbers, run.started].filter(Boolean).join(", ");
  at("detail-failures").replaceChildren(...(run.failures ?? []).map((each) => {
    const box = failureBox({ ...each, title: each.type });
    if (each.traceback) box.append(made("details", "", made("summary", "", "Traceback"), made("pre", "", each.traceback)));
    return box;
  }));
  await fillLog(folder, log || run.log || "");
  showDetail();
}

function failureBox(failure) {
  const box = made("div", "failure", made("b", "", failure.title), `${failure.message ?? ""}`);
  if (failure.remedy) box.append(made("p", "", `What to do: ${failure.remedy}`));
  return box;
}

// The parts of a folder.

function logButton(title, folder, log) {
  const button = made("button", "log", "log");
  button.type = "button";
  button.addEventListener("click", () => showLog(title, folder, log));
  return button;
}

function jobRow({ job, folder }) {
  const bar = made("progress");
  bar.max = Math.max(1, job.total);
  bar.value = job.env_steps;
  const name = `${job.task} ${job.algorithm} ${seedNames(job.seeds)}`;
  const share = made("span", "share", bar, ` ${Math.floor((100 * job.env_steps) / Math.max(1, job.total))} %`);
  const left = job.seconds_left === null ? "starting" : `${duration(job.seconds_left)} left`;
  const texts = [String(job.worker), job.task, job.algorithm, seedNames(job.seeds), share, `${duration(job.seconds)}, ${left}`, logButton(name, folder, job.log)];
  return made("tr", "", ...texts.map((text) => made("td", "", text)));
}

/** A run's sign: its letter is not shown, but says which. */
function square(element, letter) {
  return made(element, `square ${letter === "." ? "missing" : letter}`, SIGNS[letter] ?? "");
}

/** What a run's square shows: its file's state, or that it is running. */
function stateNow(cell, jobs, i) {
  return jobs[cell.seeds[i]] !== undefined && !"dx".includes(cell.states[i]) ? "r" : cell.states[i];
}

function cellRow({ cell, jobs, folder }) {
  const states = cell.seeds.map((_, i) => stateNow(cell, jobs, i));
  const count = (letters) => states.filter((letter) => letters.includes(letter)).length;
  const squares = made("div", "runs");
  if (cell.seeds.length <= MOST_SQUARES) {
    cell.seeds.forEach((seed, i) => {
      const button = square("button", states[i]);
      button.type = "button";
      button.title = `seed ${seed}: ${WORDS[states[i]]}`;
      button.setAttribute("aria-label", button.title);
      button.addEventListener("click", () => showRun(folder, cell, seed, jobs[seed] ?? ""));
      squares.append(button);
    });
  } else {
    squares.append("too many to draw");
  }
  const failed = count("ftu");
  const counts = `${count("dx")} of ${cell.seeds.length}${failed ? `, ${failed} failed` : ""}`;
  return made("tr", "", ...[cell.task, cell.algorithm, counts, squares].map((content) => made("td", "", content)));
}

function folderSection(path) {
  const section = made("section", "folder");
  const jobs = table("jobs", "Worker", "Task", "Algorithm", "Seeds", "Progress", "Time", "Log");
  const cells = table("cells", "Task", "Algorithm", "Finished", "Runs (click for result and log)");
  const parts = {
    title: made("h2"), state: made("p", "facts"), whole: made("progress", "whole"), curves: made("div", "curves"),
    curveNote: made("p", "facts"), jobs, cells, failures: made("div"), key: made("ul", "key"),
    more: made("details"), moreTitle: made("summary"), moreFailures: made("div"),
  };
  parts.more.append(parts.moreTitle, parts.moreFailures);
  section.append(parts.title, parts.state, parts.whole, parts.failures, parts.more, parts.curves, parts.curveNote, jobs.box, cells.box, parts.key);
  section.dataset.folder = path;
  section.parts = parts;
  return section;
}

function fillFolder(section, folder) {
  const { parts } = section;
  const live = folder.alive ? folder.live : null;
  parts.title.textContent = folder.name;
  parts.state.textContent = stateOf(folder);
  parts.state.classList.toggle("silent", Boolean(folder.problem) || (folder.live !== null && !folder.alive));
  parts.whole.hidden = live === null;
  if (live !== null) {
    parts.whole.max = Math.max(1, live.runs);
    const part = live.jobs.reduce((sum, job) => sum + (job.seeds.length * job.env_steps) / Math.max(1, job.total), 0);
    parts.whole.value = Math.min(live.runs, live.finished + live.failed + part);
  }
  const colours = new Map([...new Set([...folder.cells.map((cell) => cell.algorithm), ...(live?.curves ?? []).map((curve) => curve.algorithm)])].map((name, i) => [name, i]));
  const byTask = new Map();
  for (const curve of live?.curves ?? []) byTask.set(curve.task, [...(byTask.get(curve.task) ?? []), curve]);
  const name = folder.path;
  keep(parts.curves, `${name}/curves`, [...byTask].map(([task, curves]) => [task, {
    task, curves, measure: live.scored.includes(task) ? "score" : "return", phone: PHONE.matches,
    budget: Math.max(0, ...live.jobs.filter((job) => job.task === task).map((job) => job.total / Math.max(1, job.seeds.length))),
  }]), (data) => taskCurves(data, colours));
  const left = live?.curves_left_out ?? 0;
  parts.curveNote.textContent = left ? `The curves of ${many(left, "further run")} under way are left out.` : "";
  keep(parts.jobs.body, `${name}/jobs`, (live?.jobs ?? []).map((job) => [job.log, { job, folder: name }]), jobRow);
  parts.jobs.box.hidden = !live?.jobs.length;
  const logs = new Map();
  for (const job of live?.jobs ?? []) {
    const key = JSON.stringify([job.task, job.algorithm]);
    logs.set(key, { ...logs.get(key), ...Object.fromEntries(job.seeds.map((seed) => [seed, job.log])) });
  }
  const rows = folder.cells.map((cell) => ({ cell, jobs: logs.get(JSON.stringify([cell.task, cell.algorithm])) ?? {}, folder: name }));
  keep(parts.cells.body, `${name}/cells`, rows.map((row) => [row.cell.folder, row]), cellRow);
  parts.cells.box.hidden = !rows.length;
  const letters = new Set(rows.flatMap(({ cell, jobs }) => cell.seeds.map((_, i) => stateNow(cell, jobs, i))));
  keep(parts.key, `${name}/key`, [...letters].sort().map((letter) => [letter, letter]), (letter) => made("li", "", square("span", letter), WORDS[letter]));
  const again = (live?.failures ?? []).filter((each) => each.again).map((each) => ({ ...each, title: `Tried again: ${each.task} ${each.algorithm} ${seedNames(each.seeds)}: ${each.type}` }));
  const failed = folder.failures.map((each) => ({ ...each, title: `${each.status.replace("_", " ")}: ${each.task} ${each.algorithm} ${seedNames(each.seeds)}${each.type ? `: ${each.type}` : ""}` }));
  const all = [...failed, ...again].map((each, i) => [i, each]);
  const boxed = (each) => {
    const box = failureBox(each);
    if (each.log) box.append(" ", logButton(each.title, name, each.log));
    return box;
  };
  keep(parts.failures, `${name}/failures`, all.slice(0, FIRST_FAILURES), boxed);
  keep(parts.moreFailures, `${name}/more`, all.slice(FIRST_FAILURES), boxed);
  parts.more.hidden = all.length <= FIRST_FAILURES;
  parts.moreTitle.textContent = many(Math.max(0, all.length - FIRST_FAILURES), "further failure");
}

function stateOf(folder) {
  const live = folder.live;
  if (folder.problem) return folder.problem;
  if (live === null) {
    const states = folder.cells.map((cell) => cell.states).join("");
    const count = (letters) => [...states].filter((letter) => letters.includes(letter)).length;
    const failed = count("ftu");
    return `${count("dx").toLocaleString("en")} of ${many(states.length, "run")} finished${failed ? `, ${failed.toLocaleString("en")} failed` : ""}; nothing is running here.`;
  }
  if (!folder.alive) return `No news for ${duration(folder.silent)}: the run on ${live.host} (process ${live.process}) was probably killed. The same command resumes it.`;
  const left = live.seconds_left === null ? "time left not known yet" : `about ${duration(live.seconds_left)} left`;
  const failed = live.failed ? `, ${live.failed} failed` : "";
  return `${live.finished + live.failed} of ${many(live.runs, "run")} ended${failed}; ${many(live.jobs.length, "job")} running on ${many(live.workers, "worker")}, ${many(live.waiting, "job")} waiting; ${duration(live.seconds)} so far, ${left}; on ${live.host}`;
}

function fillReport(report, anything) {
  const note = report.version === 0 ? (!anything ? "Nothing has finished yet." : report.making ? "" : "Made when more has finished.") : report.current ? "Of all runs that have finished." : "Runs have finished since it was made.";
  at("report-note").textContent = [note, report.making ? `${report.version ? "A newer one" : "It"} is being made.` : "", report.problem].filter(Boolean).join(" ");
  if (report.version > reported) {
    reported = report.version;
    at("frame").hidden = false;
    at("frame").src = `/files/report/report.html?${report.version}`;
  }
}

function show(state) {
  at("title").textContent = state.name;
  document.title = `${state.name} – haepo-bench view`;
  const running = state.folders.filter((folder) => folder.alive).length;
  const places = running === 1 ? "Running" : `Running in ${running} folders`;
  at("lead").textContent = state.problem ? `The results could not be read: ${state.problem}` : !state.looked ? "Reading the results …" : running ? places : state.done ? "All runs are done." : "Nothing is running.";
  keep(at("folders"), "folders", state.folders.map((folder) => [folder.path, folder.path]), folderSection);
  const sections = [...at("folders").children];
  state.folders.forEach((folder, i) => fillFolder(sections[i], folder));
  fillReport(state.report, state.folders.some((folder) => /[dx]/.test(folder.cells.map((cell) => cell.states).join(""))));
  // At `/` the report takes the page's place when all is done; at `/live` the page stays.
  if (state.done && location.pathname === "/" && !at("detail").open) location.replace("/files/report/report.html");
}

async function poll() {
  try {
    const answer = await fetch("/state");
    if (!answer.ok) throw new Error(String(answer.status));
    show(await answer.json());
  } catch (error) {
    at("lead").textContent = error instanceof TypeError ? "The view has ended: haepo-bench view shows the results again." : `The page could not be brought up to date: ${error.message}`;
  }
  setTimeout(poll, POLL_MILLISECONDS);
}

poll();
