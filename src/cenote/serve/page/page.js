// The page: asks /collection what there is, /search for hits, and /search again for why. All text is set as text.

const SHOWN = 1500; // characters of a passage before "Show all of it"
const NAMED = 3; // words that are said to have carried a score
const at = (id) => document.getElementById(id);
const made = (tag, text, name) => {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  if (name) element.className = name;
  return element;
};

let described = null; // what /collection said
let asked = 0; // which search is the newest

class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function ask(path, body) {
  const headers = {};
  const token = sessionStorage.getItem("token");
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(path, { method: body ? "POST" : "GET", headers, body: body && JSON.stringify(body) });
  } catch {
    throw new Refused(0, "The server does not answer; is it still running?");
  }
  const found = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Refused(answer.status, found.error?.message ?? `The server answered ${answer.status}.`);
  return found;
}

function told(error) {
  if (!(error instanceof Refused)) throw error;
  at("token").hidden = error.status !== 401;
  at("error").textContent = error.status === 401 && !sessionStorage.getItem("token") ? "" : error.message;
  at("status").textContent = "";
  if (error.status === 401) at("secret").focus();
}

// -- what is served

const grouped = new Intl.NumberFormat("en");
const counted = (n, one) => `${grouped.format(n)} ${one}${n === 1 ? "" : "s"}`;
function sized(bytes) {
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (bytes >= 1024 && unit < units.length - 1) {
    bytes /= 1024;
    unit += 1;
  }
  return `${bytes.toFixed(unit ? 1 : 0)} ${units[unit]}`;
}

async function describe() {
  described = await ask("/collection");
  at("token").hidden = true;
  at("error").textContent = "";
  document.title = `${described.name} – cenote`;
  at("name").textContent = described.name;
  const { payload, ids, structure, codec } = described.bytes;
  const line = at("collection");
  line.replaceChildren(made("code", described.recipe));
  const sizes = `${counted(described.documents, "document")}, ${counted(described.passages, "passage")}`;
  const each = `${grouped.format(Math.round(described.bytes_per_document))} bytes a document`;
  line.append(` · ${sizes} · index ${sized(payload + ids + structure + codec)}, ${each}`);
  fields(described.attributes);
}

// -- filters

const operators = {
  string: [["contains", (c, v) => `lower(${c}) like ${quoted(`%${like(v.toLowerCase())}%`)} escape '\\'`],
           ["is", (c, v) => `${c} = ${quoted(v)}`],
           ["is not", (c, v) => `${c} <> ${quoted(v)}`]],
  list: [["has", (c, v) => `array_contains(${c}, ${quoted(v)})`]],
};
const quoted = (text) => `'${text.replaceAll("'", "''")}'`;
const like = (text) => text.replaceAll(/[\\%_]/g, (mark) => `\\${mark}`);
const column = (name) => `\`${name}\``;
const number = (text) => (/^[-+]?\d*\.?\d+$/.test(text.trim()) ? text.trim() : null);
let conditions = [];

function fields(attributes) {
  conditions = [];
  at("fields").replaceChildren();
  for (const [name, type] of Object.entries({ source: "string", ...attributes })) {
    const field = made("div", undefined, "field");
    field.setAttribute("role", "group");
    field.setAttribute("aria-label", name);
    field.append(made("span", name));
    const row = made("span", undefined, "row");
    field.append(row);
    if (type === "int64" || type === "double") between(row, name);
    else if (type === "bool") either(row, name);
    else if (type === "list<string>") compared(row, name, operators.list);
    else if (type === "string") compared(row, name, operators.string);
    else continue; // what is left can be asked for in SQL
    at("fields").append(field);
  }
}

function input(row, label, type = "text") {
  const box = made("input");
  box.type = type;
  box.autocomplete = "off";
  box.setAttribute("aria-label", label);
  row.append(box);
  return box;
}

function select(row, label, options) {
  const box = made("select");
  box.setAttribute("aria-label", label);
  box.append(...options.map((option) => made("option", option)));
  row.append(box);
  return box;
}

function between(row, name) {
  const low = input(row, `${name} from`), high = input(row, `${name} to`);
  [low.placeholder, high.placeholder] = ["from", "to"];
  low.inputMode = high.inputMode = "decimal";
  for (const [box, sign] of [[low, ">="], [high, "<="]])
    conditions.push({ boxes: [box], sql: () => number(box.value) && `${column(name)} ${sign} ${number(box.value)}` });
}

function either(row, name) {
  const box = select(row, name, ["any", "yes", "no"]);
  conditions.push({ boxes: [box], sql: () => box.value !== "any" && `${column(name)} = ${box.value === "yes"}` });
}

function compared(row, name, kinds) {
  const kind = select(row, `how ${name} is compared`, kinds.map(([word]) => word));
  const box = input(row, name);
  const sql = () => box.value && kinds[kind.selectedIndex][1](column(name), box.value);
  conditions.push({ boxes: [kind, box], sql });
}

function where() {
  const parts = conditions.map((one) => one.sql()).filter(Boolean);
  if (at("sql").value.trim()) parts.push(`(${at("sql").value.trim()})`);
  at("active").textContent = parts.length ? ` (${parts.length})` : "";
  return parts.join(" and ") || null;
}

// -- searching

async function search() {
  const query = at("query").value.trim(), k = Number(at("k").value), condition = where();
  const mine = ++asked;
  at("error").textContent = "";
  remember(query, k);
  if (!query) {
    at("results").replaceChildren();
    at("status").textContent = "";
    return;
  }
  const body = { queries: [query], k, where: condition };
  const began = performance.now();
  at("status").textContent = "Searching …";
  try {
    const answer = await ask("/search", body);
    if (mine !== asked) return;
    const hits = answer.results[0].hits;
    show(hits);
    const ms = Math.round(performance.now() - began);
    at("status").textContent = `${hits.length ? counted(hits.length, "document") : "Nothing was found"} in ${ms} ms`;
    if (!described?.dim || !hits.length) return;
    const explained = (await ask("/search", { ...body, explain: true })).results[0].hits;
    if (mine === asked) explain(hits, explained);
  } catch (error) {
    if (mine === asked) told(error);
  }
}

function remember(query, k) {
  const place = new URL(location.href);
  for (const [name, value] of [["q", query], ["k", k === 10 ? "" : k], ["sql", at("sql").value.trim()]])
    if (value) place.searchParams.set(name, value);
    else place.searchParams.delete(name);
  history.replaceState(null, "", place);
}

function show(hits) {
  at("results").replaceChildren(...hits.map(card));
}

function card(hit) {
  const item = at("hit").content.cloneNode(true).firstElementChild;
  const title = typeof hit.attributes.title === "string" && hit.attributes.title ? hit.attributes.title : hit.id;
  const heading = item.querySelector("h2");
  if (/^https?:\/\//.test(hit.source)) {
    const link = made("a", title);
    link.href = hit.source;
    link.rel = "noreferrer";
    heading.append(link);
  } else heading.textContent = title;
  const place = [`score ${hit.score.toFixed(4)}`];
  if (title !== hit.id) place.unshift(hit.id);
  if (hit.page !== null) place.push(`page ${hit.page}`);
  if (hit.heading) place.push(hit.heading);
  if (hit.source && hit.source !== hit.id) place.push(hit.source);
  for (const [leg, score] of Object.entries(hit.scores)) place.push(`${leg} ${score.toFixed(3)}`);
  item.querySelector(".place").textContent = place.join(" · ");
  passage(item, hit, [], hit.text.length <= SHOWN);
  const list = item.querySelector("dl");
  for (const [name, value] of Object.entries(hit.attributes))
    if (value !== null && !(name === "title" && value === title))
      list.append(made("dt", name), made("dd", Array.isArray(value) ? value.join(", ") : String(value)));
  item.querySelector(".attributes").hidden = !list.children.length;
  return item;
}

function passage(item, hit, words, whole) {
  const shown = item.querySelector(".passage"), more = item.querySelector(".more");
  // characters as the server counts them: JavaScript counts those beyond the first plane twice
  const characters = Array.from(hit.text);
  const end = whole ? characters.length : SHOWN;
  const most = Math.max(...words.map((word) => word.weight), 0);
  shown.replaceChildren();
  let done = 0;
  for (const { start, end: stop, weight } of words) {
    const share = most > 0 ? weight / most : 0;
    if (share < 0.08 || start < done || stop > end) continue;
    shown.append(characters.slice(done, start).join(""));
    const mark = made("mark", characters.slice(start, stop).join(""));
    mark.style.setProperty("--share", share.toFixed(3));
    shown.append(mark);
    done = stop;
  }
  shown.append(characters.slice(done, end).join("") + (whole ? "" : " …"));
  more.hidden = whole;
  more.onclick = () => {
    passage(item, hit, words, true);
    item.querySelector("article").focus();
  };
}

function explain(hits, explained) {
  const why = new Map(explained.map((hit) => [`${hit.id} ${hit.start}`, hit.why]));
  hits.forEach((hit, n) => {
    const words = why.get(`${hit.id} ${hit.start}`) ?? [];
    const item = at("results").children[n];
    const carried = words.filter((word) => word.weight > 0);
    if (!carried.length) return;
    passage(item, hit, words, item.querySelector(".more").hidden);
    said(item.querySelector(".why"), Array.from(hit.text), carried);
  });
}

// in words too, for those who do not see the shading
function said(line, characters, carried) {
  const total = carried.reduce((sum, word) => sum + word.weight, 0);
  const shares = new Map();
  for (const word of carried) {
    const text = characters.slice(word.start, word.end).join("").toLowerCase();
    if (/[\p{L}\p{N}]/u.test(text)) shares.set(text, (shares.get(text) ?? 0) + word.weight / total);
  }
  const best = [...shares].sort((a, b) => b[1] - a[1]).slice(0, NAMED);
  line.replaceChildren("Carried by ");
  best.forEach(([text, share], n) => line.append(n ? ", " : "", made("b", text), ` ${Math.round(100 * share)} %`));
  line.hidden = !best.length;
}

// -- keys, and the beginning

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target.matches("input, select, textarea");
  if (event.key === "/" && !typing) {
    event.preventDefault();
    at("query").select();
    return;
  }
  if (event.key === "Escape" && event.target.closest("#results")) at("query").select();
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step || (typing && event.target !== at("query"))) return;
  const cards = [...document.querySelectorAll("article")];
  const next = cards.indexOf(event.target.closest("article")) + step;
  if (next < -1 || next >= cards.length || (next < 0 && event.target === at("query"))) return;
  event.preventDefault();
  (cards[next] ?? at("query")).focus();
});

at("search").addEventListener("submit", (event) => {
  event.preventDefault();
  search();
});
at("search").addEventListener("change", (event) => {
  where();
  if (event.target !== at("query") && at("query").value.trim()) search();
});
at("clear").addEventListener("click", () => {
  for (const box of at("filters").querySelectorAll("input")) box.value = "";
  for (const box of at("filters").querySelectorAll("select")) box.selectedIndex = 0;
  where();
  search();
});
at("token").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem("token", at("secret").value.trim());
  begin();
});

async function begin() {
  try {
    await describe();
  } catch (error) {
    return told(error);
  }
  const given = new URL(location.href).searchParams;
  if (given.get("sql")) at("sql").value = given.get("sql");
  if ([...at("k").options].some((option) => option.value === given.get("k"))) at("k").value = given.get("k");
  if (given.get("q")) at("query").value = given.get("q");
  where();
  if (!at("query").value) at("query").focus();
  else await search();
}

begin();
