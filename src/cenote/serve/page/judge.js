// Judging: one question at a time, its documents in an order that tells nothing; a key grades the one in focus.

const at = (id) => document.getElementById(id);
let questions = [], current = 0, shown = [];

async function ask(path, body) {
  at("error").textContent = "";
  const headers = body ? { "Content-Type": "application/json" } : {};
  let answer;
  try {
    answer = await fetch(path, { method: body ? "POST" : "GET", headers, body: body && JSON.stringify(body) });
  } catch {
    throw said("The server does not answer; what was graded before is kept.");
  }
  const found = await answer.json();
  if (!answer.ok) throw said(found.error.message);
  return found;
}

function said(sentence) {
  at("error").textContent = sentence;
  return new Error(sentence);
}

const cards = () => [...document.querySelectorAll("article")];
const open = (number) => questions[number].left > 0;

async function show(number) {
  current = number;
  const question = questions[number];
  shown = await ask(`/questions/${encodeURIComponent(question.id)}`);
  at("question").textContent = question.text;
  at("where").textContent = `Question ${number + 1} of ${questions.length}`;
  at("back").disabled = number === 0;
  at("on").disabled = number === questions.length - 1;
  at("results").replaceChildren(...shown.map(card));
  count();
  const next = shown.findIndex((document) => document.grade === null);
  (cards()[next] ?? at("question")).focus();
}

function card(found, number) {
  const item = at("hit").content.cloneNode(true).firstElementChild;
  item.querySelector("h3").textContent = found.title;
  const place = [found.id, found.page === null ? "" : `page ${found.page}`, found.heading ?? ""];
  item.querySelector(".place").textContent = place.filter((one) => one && one !== found.title).join(" · ");
  item.querySelector(".passage").textContent = found.text;
  for (const button of item.querySelectorAll("button"))
    button.addEventListener("click", () => grade(number, Number(button.dataset.grade)));
  press(item, found.grade);
  return item;
}

function press(item, value) {
  item.querySelector("article").classList.toggle("graded", value !== null);
  for (const button of item.querySelectorAll("button"))
    button.setAttribute("aria-pressed", String(Number(button.dataset.grade) === value && value !== null));
}

function count() {
  const { left, documents } = questions[current];
  const done = questions.filter((one) => one.left === 0).length;
  const here = documents ? `${documents - left} of ${documents} documents graded` : "nothing was found for this question";
  at("status").textContent = `${here}; ${done} of ${questions.length} questions done`;
}

async function grade(number, value) {
  const body = { question: questions[current].id, document: shown[number].id, grade: value };
  const here = current;
  const { left } = await ask("/judgements", body);
  const complete = questions[here].left > 0 && left === 0;
  const changed = complete || questions[here].left === 0;
  questions[here].left = left;
  if (changed) tell();
  if (here !== current) return;
  shown[number].grade = value;
  press(at("results").children[number], value);
  count();
  if (value === null) return;
  if (complete) {
    const next = questions.findIndex((_, n) => n > current && open(n));
    const any = next >= 0 ? next : questions.findIndex((_, n) => open(n));
    if (any >= 0) return show(any);
    at("status").textContent = "All questions are done.";
    return at("so-far").scrollIntoView();
  }
  const after = shown.findIndex((document, n) => n > number && document.grade === null);
  const next = after >= 0 ? after : shown.findIndex((document) => document.grade === null);
  if (next >= 0) cards()[next].focus();
}

async function tell() {
  at("verdict").textContent = (await ask("/verdict")).verdict;
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const focused = cards().indexOf(event.target.closest("article"));
  if (["0", "1", "2"].includes(event.key) && focused >= 0) grade(focused, Number(event.key));
  else if (event.key === "Backspace" && focused >= 0) grade(focused, null);
  else if (event.key === "ArrowDown") cards()[Math.min(focused + 1, cards().length - 1)]?.focus();
  else if (event.key === "ArrowUp") cards()[Math.max(focused - 1, 0)]?.focus();
  else return;
  event.preventDefault();
});
at("back").addEventListener("click", () => show(current - 1));
at("on").addEventListener("click", () => show(current + 1));

questions = await ask("/questions");
tell();
const first = questions.findIndex((_, n) => open(n));
await show(first < 0 ? 0 : first);
