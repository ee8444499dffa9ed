// Everything works without this file. It keeps relative times true, writes
// absolute ones in the reader's own time zone, copies, and closes sheets.

const units = [[60, "min"], [24, "h"], [7, "d"], [Infinity, "w"]];

/** The time since a moment, as the server writes it. */
function ago(then, now) {
  let n = Math.floor((now - then) / 60000);
  if (n < 1) return "now";
  for (const [size, unit] of units) {
    if (n < size) return `${n} ${unit}`;
    n = Math.floor(n / size);
  }
}

const full = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });
const parts = new Intl.DateTimeFormat("en-GB", { weekday: "short", day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit" });
const WEEKS = 8 * 7 * 86400000;

/** A moment in the reader's zone, as the server writes it. */
function brief(then) {
  const p = Object.fromEntries(parts.formatToParts(then).map(({ type, value }) => [type, value]));
  const year = then.getFullYear() === new Date().getFullYear() ? "" : ` ${p.year}`;
  return `${p.weekday} ${p.day} ${p.month}${year}, ${p.hour}:${p.minute}`;
}

function localTimes() {
  for (const el of document.querySelectorAll("time[datetime]")) {
    const then = new Date(el.dateTime);
    el.title = full.format(then);
    if (el.hasAttribute("data-brief")) el.textContent = brief(then);
  }
}

function relativeTimes() {
  const now = Date.now();
  for (const el of document.querySelectorAll("time[data-relative]")) {
    const then = new Date(el.dateTime).getTime();
    if (now - then < WEEKS) el.textContent = ago(then, now);
  }
}

async function copy(button) {
  const word = button.querySelector("[data-word]");
  await navigator.clipboard.writeText(button.dataset.copy);
  const before = word.textContent;
  word.textContent = "Copied";
  setTimeout(() => { word.textContent = before; }, 1500);
}

for (const button of document.querySelectorAll("button[data-copy]")) {
  if (!navigator.clipboard) continue;
  button.hidden = false;
  button.addEventListener("click", () => copy(button));
}

/** Sheets float: a click elsewhere and Escape close them. */
function closeSheets(except) {
  for (const sheet of document.querySelectorAll("details.shield[open]")) {
    if (sheet !== except) sheet.open = false;
  }
}
document.addEventListener("click", (e) => closeSheets(e.target.closest("details.shield")));
document.addEventListener("keydown", (e) => { if (e.key === "Escape") closeSheets(null); });

localTimes();
relativeTimes();
setInterval(relativeTimes, 30000);
