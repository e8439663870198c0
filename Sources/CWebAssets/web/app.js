// The web user interface of Outrider: one module, no framework, no build step.
//
// Text of documents, answers and errors reaches the page only as text nodes (through `h`), never as markup.

const $ = (id) => document.getElementById(id);

// ---------------------------------------------------------------- Elements

/** Makes an element. Strings among the children become text nodes; null and false are left out. */
function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.className = value;
    else if (name in element && typeof value !== "string") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false) element.append(child);
  }
  return element;
}

const announce = (text) => { $("announce").textContent = text; };

function showError(error) {
  // While the server is away the banner says so, whatever else goes wrong meanwhile.
  if (isWaitingForServer) return;
  const banner = $("banner");
  banner.textContent = error ? error.message || String(error) : "";
  banner.hidden = !error;
  if (error && error.status === 0) serverIsAway();
}

let isWaitingForServer = false;

/** Asks until the server answers again, then shows the view anew: nobody has to reload the page. */
async function serverIsAway() {
  if (isWaitingForServer) return;
  isWaitingForServer = true;
  $("banner").textContent = "The server cannot be reached. Trying again until it is back …";
  $("banner").hidden = false;
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, 1500));
    const isBack = await fetch("/health/ready", { cache: "no-store" }).then((response) => response.ok, () => false);
    if (isBack) break;
  }
  isWaitingForServer = false;
  showError(null);
  announce("The server is back.");
  await run(loadCollections);
  await run(views[currentView].enter);
}

// ---------------------------------------------------------------- Formats

const number = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 });
const plural = (count, one, many = one + "s") => `${number.format(count)} ${count === 1 ? one : many}`;

function size(bytes) {
  const units = ["B", "KB", "MB", "GB"];
  let unit = 0;
  while (bytes >= 1000 && unit < units.length - 1) { bytes /= 1000; unit += 1; }
  return `${number.format(unit === 0 ? bytes : Math.round(bytes * 10) / 10)} ${units[unit]}`;
}

function duration(ms) {
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60000) return `${(ms / 1000).toFixed(1)} s`;
  return `${Math.floor(ms / 60000)} min ${Math.round((ms % 60000) / 1000)} s`;
}

const time = (seconds) => new Date(seconds * 1000).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
const baseName = (source) => source.split(/[/\\]/).filter(Boolean).pop() || source;
/** A path on the server says little here, and may be long: its last folder and its name. */
const shortSource = (source) => /^([/\\]|[A-Za-z]:)/.test(source) ? source.split(/[/\\]/).filter(Boolean).slice(-2).join("/") : source;
const pageOf = (item) => !item.page ? null : item.last_page > item.page ? `pages ${item.page}–${item.last_page}` : `page ${item.page}`;
const nameOf = (item) => item.title || baseName(item.source);

// ---------------------------------------------------------------- UTF-8 offsets

/**
 * The server counts bytes of UTF-8, JavaScript counts UTF-16 units. Converts ascending byte offsets to string indices in one pass.
 * An offset inside a character gives the index of that character.
 */
export function stringIndices(text, offsets) {
  const indices = [];
  let byte = 0;
  let index = 0;
  for (const offset of offsets) {
    while (index < text.length) {
      const unit = text.codePointAt(index);
      const width = unit < 0x80 ? 1 : unit < 0x800 ? 2 : unit < 0x10000 ? 3 : 4;
      if (byte + width > offset) break;
      byte += width;
      index += unit > 0xffff ? 2 : 1;
    }
    indices.push(index);
  }
  return indices;
}

// ---------------------------------------------------------------- Server

class RequestError extends Error {
  constructor(message, status, code) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

const keyName = "outrider-api-key";
let keyRequest = null;

/** Asks for the API key, once for all requests that need it. */
function askForKey(wasWrong) {
  keyRequest ??= new Promise((resolve) => {
    const dialog = $("key-dialog");
    $("key-error").hidden = !wasWrong;
    $("key").value = "";
    dialog.addEventListener("close", () => {
      const key = $("key").value.trim();
      if (key) sessionStorage.setItem(keyName, key);
      keyRequest = null;
      resolve();
    }, { once: true });
    dialog.showModal();
  });
  return keyRequest;
}

function headers(extra = {}) {
  const key = sessionStorage.getItem(keyName);
  return key ? { ...extra, Authorization: `Bearer ${key}` } : extra;
}

async function failure(response) {
  const body = await response.json().catch(() => null);
  const error = body && body.error;
  return new RequestError(error ? error.message : `The server answered ${response.status} ${response.statusText}`, response.status, error && error.code);
}

/** Sends a request; asks for the key when the server wants one. */
async function send(path, options = {}) {
  for (;;) {
    const used = sessionStorage.getItem(keyName);
    let response;
    try {
      response = await fetch(path, { ...options, headers: headers(options.headers) });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new RequestError("The server cannot be reached. Is it still running?", 0, "unreachable");
    }
    if (response.status === 401) {
      if (used === sessionStorage.getItem(keyName)) {
        sessionStorage.removeItem(keyName);
        await askForKey(used !== null);
      }
      continue;
    }
    if (!response.ok) throw await failure(response);
    return response;
  }
}

const get = async (path) => (await send(path)).json();
const post = async (path, body, options = {}) =>
  (await send(path, { ...options, method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body ?? {}) })).json();

/** Reads a stream of server-sent events: yields `{event, data}`. */
async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let buffer = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      buffer += value;
      let end;
      while ((end = buffer.indexOf("\n\n")) >= 0) {
        const frame = buffer.slice(0, end);
        buffer = buffer.slice(end + 2);
        let event = "message";
        const data = [];
        for (const line of frame.split("\n")) {
          if (line.startsWith("event:")) event = line.slice(6).trim();
          else if (line.startsWith("data:")) data.push(line.slice(5).replace(/^ /, ""));
        }
        if (data.length) yield { event, data: JSON.parse(data.join("\n")) };
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

// ---------------------------------------------------------------- Collections, theme, views

const collection = () => $("collection").value || "default";

async function loadCollections() {
  const { collections } = await get("/v1/collections");
  const chosen = collection();
  const names = new Set(["default", ...collections.map((each) => each.name)]);
  $("collection").replaceChildren(...[...names].map((name) => h("option", { value: name, selected: name === chosen }, name)));
  return collections;
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  const other = theme === "dark" ? "light" : "dark";
  $("theme").setAttribute("aria-label", `Switch to ${other} colours`);
  $("theme").title = `Switch to ${other} colours`;
}

const systemTheme = matchMedia("(prefers-color-scheme: dark)");
setTheme(localStorage.getItem("outrider-theme") || (systemTheme.matches ? "dark" : "light"));
systemTheme.addEventListener("change", () => {
  if (!localStorage.getItem("outrider-theme")) setTheme(systemTheme.matches ? "dark" : "light");
});
$("theme").addEventListener("click", () => {
  const theme = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  localStorage.setItem("outrider-theme", theme);
  setTheme(theme);
});

const views = {
  ask: { title: "Ask", enter: enterAsk },
  search: { title: "Search", enter: () => {} },
  documents: { title: "Documents", enter: enterDocuments },
  status: { title: "Status", enter: enterStatus },
};
let currentView = null;

async function route() {
  const name = location.hash.replace(/^#\//, "").split("?")[0];
  const view = views[name] ? name : "ask";
  if (view !== currentView) closeSource();
  const isFirst = currentView === null;
  currentView = view;
  for (const each of Object.keys(views)) $(`view-${each}`).hidden = each !== view;
  for (const link of document.querySelectorAll(".tabs a")) {
    if (link.dataset.view === view) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${views[view].title} · Outrider`;
  if (!isFirst) $("main").focus({ preventScroll: true });
  showError(null);
  await run(views[view].enter);
}

/** Runs something and shows its error; what was being loaded then is not any more. */
async function run(action) {
  try {
    return await action();
  } catch (error) {
    if (error.name === "AbortError") return;
    for (const spinner of document.querySelectorAll("main .note > .spinner")) spinner.parentElement.replaceChildren(error.status === 0 ? "Waiting for the server …" : "This could not be loaded.");
    showError(error);
  }
}

// ---------------------------------------------------------------- Timings chart

const stageOrder = ["rewrite", "hypothesize", "decompose", "hop", "filter", "embed", "text", "vector", "fuse", "rerank", "fetch", "retrieve", "prompt", "first_token", "generate", "check"];
const stageRank = (name) => (stageOrder.indexOf(name) + stageOrder.length + 1) % (stageOrder.length + 1);

/** Stages as bars on one scale, the total last. Parts of a stage that is a sum itself (`retrieve`) are shown like all others. */
function timingBars(timings) {
  const total = timings.total ?? Math.max(...Object.values(timings), 0);
  const stages = Object.entries(timings).filter(([name]) => name !== "total").sort(([a], [b]) => stageRank(a) - stageRank(b));
  const rows = stages.map(([name, ms]) => {
    const bar = h("i");
    bar.style.width = `${total > 0 ? Math.min(100, (ms / total) * 100) : 0}%`;
    return [h("dt", {}, name.replaceAll("_", " ")), h("dd", {}, h("span", { class: "bar", "aria-hidden": "true" }, bar), h("span", { class: "value" }, duration(ms)))];
  });
  return h("dl", { class: "bars" }, rows,
    h("dt", { class: "total" }, "total"), h("dd", {}, h("span"), h("span", { class: "value total" }, duration(total))));
}

// ---------------------------------------------------------------- Ask

/** The turns on the page, oldest first. They are kept in this browser, so that a reload or a phone that drops the tab loses nothing. */
const turns = [];
let answering = null;

async function enterAsk() {
  const [info, list] = await Promise.all([get("/v1/info"), get(`/v1/documents?limit=1&collection=${encodeURIComponent(collection())}`).catch(() => ({ total: 0 }))]);
  const chosen = $("generator").value;
  $("generator").replaceChildren(...info.generators.map((name) => h("option", { value: name, selected: name === chosen }, generatorName(name))));
  $("generator-choice").hidden = info.generators.length < 2;
  fitPlan();
  $("ask-hint").replaceChildren(list.total > 0
    ? `${plural(list.total, "document")} in “${collection()}”.`
    : h("span", {}, "There are no documents yet. ", h("a", { href: "#/documents" }, "Add some first.")));
}

/** Steps beyond one search ask a language model. */
function fitPlan() {
  $("plan-choice").hidden = $("generator-choice").hidden || $("generator").value === "extractive";
}
$("generator").addEventListener("change", fitPlan);

const generatorName = (name) => name === "extractive" ? "quotes only" : name;

const question = $("question");
function fitQuestion() {
  question.style.height = "auto";
  question.style.height = `${question.scrollHeight}px`;
}
question.addEventListener("input", fitQuestion);
question.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    $("ask-form").requestSubmit();
  }
});
$("ask-stop").addEventListener("click", () => answering && answering.abort());
$("new-conversation").addEventListener("click", () => {
  if (answering) answering.abort();
  turns.length = 0;
  $("turns").replaceChildren();
  saveConversation();
  showConversation();
  closeSource();
  question.focus();
});
$("ask-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = question.value.trim();
  if (!text || answering) return;
  question.value = "";
  fitQuestion();
  const turn = new Turn(text, collection());
  turns.push(turn);
  $("turns").append(turn.element);
  showConversation();
  run(() => ask(turn));
});

function showConversation() {
  $("ask-empty").hidden = turns.length > 0;
  $("new-conversation").hidden = turns.length === 0;
  $("view-ask").classList.toggle("has-turns", turns.length > 0);
}

/** The newest question stands at the top, whatever the composer covers at the bottom: the last turn is made high enough for that. */
function fitTurns() {
  const bar = document.querySelector(".top").offsetHeight;
  document.documentElement.style.setProperty("--bar", `${bar}px`);
  document.documentElement.style.setProperty("--composer", `${$("ask-form").offsetHeight}px`);
}
new ResizeObserver(fitTurns).observe($("ask-form"));
new ResizeObserver(fitTurns).observe(document.querySelector(".top"));

function scrollToTurn(turn, behavior = matchMedia("(prefers-reduced-motion: reduce)").matches ? "instant" : "smooth") {
  fitTurns();
  turn.element.scrollIntoView({ block: "start", behavior });
}

/** The turns before this one, as the server wants them: questions and supported answers. */
function turnsBefore(turn) {
  const before = turns.slice(0, turns.indexOf(turn)).filter((each) => each.answer && !each.answer.refused && each.collection === turn.collection);
  return before.slice(-4).flatMap((each) => [{ role: "user", content: each.question.slice(0, 4000) }, { role: "assistant", content: each.answer.answer.slice(0, 8000) }]);
}

async function ask(turn) {
  showError(null);
  $("ask-send").hidden = true;
  $("ask-stop").hidden = false;
  turn.begin();
  saveConversation();
  scrollToTurn(turn);
  const controller = new AbortController();
  answering = controller;
  try {
    const body = { question: turn.question, collection: turn.collection, turns: turnsBefore(turn), stream: true };
    if ($("generator").value) body.generator = $("generator").value;
    if (!$("plan-choice").hidden) body.plan = $("plan").value;
    const response = await send("/v1/answer", {
      method: "POST", signal: controller.signal, body: JSON.stringify(body),
      headers: { "Content-Type": "application/json", Accept: "text/event-stream" },
    });
    for await (const { event, data } of events(response)) turn.take(event, data);
    if (!turn.isOver) turn.fail("The connection ended before the answer did.");
  } catch (error) {
    if (error.name === "AbortError") turn.fail("Stopped.");
    else turn.fail(error instanceof RequestError ? error.message : "The connection ended before the answer did.");
    if (error.status === 0) serverIsAway();
  } finally {
    if (answering === controller) {
      answering = null;
      $("ask-send").hidden = false;
      $("ask-stop").hidden = true;
    }
    saveConversation();
  }
}

// What is kept: the questions, the answers with their citations, and the beginnings of passages.

const conversationName = "outrider-conversation";
const keptTurns = 30;

function saveConversation() {
  try {
    for (let count = Math.min(turns.length, keptTurns); ; count = Math.floor(count / 2)) {
      if (count === 0) {
        localStorage.removeItem(conversationName);
        return;
      }
      try {
        localStorage.setItem(conversationName, JSON.stringify(turns.slice(-count).map((turn) => turn.record())));
        return;
      } catch {
        // The browser's room is used up: fewer turns.
      }
    }
  } catch {
    // A browser that keeps nothing at all still answers questions.
  }
}

function restoreConversation() {
  let records = [];
  try {
    records = JSON.parse(localStorage.getItem(conversationName) ?? "[]");
  } catch {
    records = [];
  }
  for (const record of Array.isArray(records) ? records : []) {
    if (typeof record?.question !== "string") continue;
    try {
      const turn = Turn.from(record);
      turns.push(turn);
      $("turns").append(turn.element);
    } catch {
      // Written by another version of this page.
    }
  }
  showConversation();
  history.scrollRestoration = "manual";
  if (turns.length) requestAnimationFrame(() => scrollToTurn(turns[turns.length - 1], "instant"));
}

/** What a rung of the degradation ladder means for whoever reads the answer. What follows the colon is shown on demand. */
const rungs = {
  vector_unavailable: "Searched by words only",
  vector_skipped: "Searched by words only, for lack of time",
  phrase_relaxed: "The words in quotes stand nowhere in this order",
  rerank_unavailable: "Results were not reranked",
  rerank_partial: "Results were reranked in part",
  rerank_skipped: "Results were not reranked, for lack of time",
  rewrite_heuristic: "Follow-up question joined with earlier words",
  passages_apart: "Neighbouring passages were not joined",
  sentences_by_words: "Sentences chosen by words only",
  check_by_words: "Checked by words only",
  generator_failed: "The language model did not answer; these are quotes",
  generation_cut: "The answer broke off",
  answer_unsupported: "The model's answer was not supported by the documents; these are quotes",
  plan_reduced: "A step of the search was left out",
  citations_dropped: "A document changed meanwhile; its quotes were left out",
};

/** What a step of a plan did, for whoever waits or asks afterwards. */
const stepName = (step) => ({
  rewrite: "Made whole", hypothesize: "Guessed passage", decompose: "Sub-questions", retrieve: "Searched", hop: "Asked for what is missing",
})[step.name] ?? step.name;

function rungPill(rung) {
  const name = rung.split(":")[0];
  const detail = rung.slice(name.length + 1).trim();
  const text = rungs[name] ?? name.replaceAll("_", " ");
  return h("span", { class: "pill warn", title: detail ? `${text}: ${detail}` : text }, text);
}

/** Words, not a percentage: the number says how well passages fit the question, and was read as "so likely is this right". */
function evidencePill(answer) {
  if (answer.refused) return h("span", { class: "pill warn", title: "No sentence of the documents answers this well enough to be quoted" }, "No supported answer");
  const [word, kind] = answer.confidence >= 0.6 ? ["strong", "good"] : answer.confidence >= 0.35 ? ["fair", ""] : ["thin", "warn"];
  return h("span", { class: `pill ${kind}`, title: "How well the quoted passages fit the question. Read them: it does not say how likely the answer is right." }, `Match with the documents: ${word}`);
}

// Tables

const splitCells = (line) => line.trim().replace(/^\|/, "").replace(/\|$/, "").split("|").map((cell) => cell.trim());
const isRule = (line) => /^\s*\|?\s*:?-{2,}:?\s*(\|\s*:?-{2,}:?\s*)*\|?\s*$/.test(line) && line.includes("-");
const isRow = (line) => / \| |^\s*\|.*\|\s*(\[\d+\]\s*)*$/.test(line);

/**
 * Cuts a text into lines that belong together: `{table: [[cell, ...], ...], hasHead}` for rows with bars between their cells, `{text}` for all else.
 * A marker behind the last bar belongs to the last cell.
 */
export function textBlocks(text) {
  const blocks = [];
  let rows = [];
  let hasHead = false;
  const endTable = () => {
    if (rows.length) blocks.push({ table: rows, hasHead: hasHead && rows.length > 1 });
    rows = [];
    hasHead = false;
  };
  for (const line of text.split("\n")) {
    if (rows.length === 1 && isRule(line)) {
      hasHead = true;
    } else if (isRow(line)) {
      const cells = splitCells(line);
      if (cells.length > 1 && /^(\[\d+\]\s*)+$/.test(cells[cells.length - 1])) {
        const marker = cells.pop();
        cells[cells.length - 1] += ` ${marker}`;
      }
      rows.push(cells);
    } else {
      endTable();
      const last = blocks[blocks.length - 1];
      if (last && last.text !== undefined) last.text += `\n${line}`;
      else blocks.push({ text: line });
    }
  }
  endTable();
  return blocks;
}

/** A text with its tables as tables; `pieces` makes the content of a cell or a stretch of text. */
function drawText(text, pieces) {
  return textBlocks(text).map((block) => {
    if (block.text !== undefined) return block.text.trim() === "" ? null : h("div", { class: "text-block" }, pieces(block.text.replace(/^\n+|\n+$/g, "")));
    const width = Math.max(...block.table.map((row) => row.length));
    const row = (cells, tag) => h("tr", {}, [...cells, ...Array(width - cells.length).fill("")].map((cell) => h(tag, tag === "th" ? { scope: "col" } : {}, pieces(cell))));
    const [head, body] = block.hasHead ? [block.table.slice(0, 1), block.table.slice(1)] : [[], block.table];
    return h("div", { class: "table-box" }, h("table", {},
      head.length ? h("thead", {}, head.map((cells) => row(cells, "th"))) : null,
      h("tbody", {}, body.map((cells) => row(cells, "td")))));
  }).filter(Boolean);
}

/** The title of the nearest passages, in the language in which the server refused; English for all others. */
function nearestTitle(refusal) {
  const titles = [
    ["Die ", "Ich kann keine Antwort zitieren, aber diese Stellen kommen ihr am nächsten"],
    ["Les ", "Je ne peux citer aucune réponse, mais voici les passages les plus proches"],
    ["Los ", "No puedo citar una respuesta, pero estos son los pasajes más cercanos"],
    ["I documenti", "Non posso citare una risposta, ma questi sono i passaggi più vicini"],
    ["Os ", "Não posso citar uma resposta, mas estes são os trechos mais próximos"],
    ["De opgenomen", "Ik kan geen antwoord citeren, maar deze plaatsen komen het dichtst in de buurt"],
  ];
  return titles.find(([beginning]) => refusal.startsWith(beginning))?.[1] ?? "I can’t quote an answer, but these are the closest places";
}

/** One question with its answer on the page. */
class Turn {
  constructor(text, collectionName) {
    this.question = text;
    this.collection = collectionName;
    this.stage = h("div", { class: "stage" });
    this.body = h("div", { class: "answer-text" });
    this.facts = h("div", { class: "facts" });
    this.box = h("div", { class: "answer" }, this.stage, this.body, this.facts);
    this.extra = h("div", { class: "turn-extra" });
    this.element = h("li", { class: "turn" }, h("h2", { class: "turn-question" }, text), this.box, this.extra);
    this.clear();
  }

  clear() {
    this.text = "";
    this.sources = [];
    this.plan = null;
    this.citations = [];
    this.rejected = [];
    this.answer = null;
    this.failure = null;
    this.isOver = false;
    this.isDrawing = false;
    this.body.hidden = true;
    this.body.replaceChildren();
    this.facts.replaceChildren();
    this.extra.replaceChildren();
    this.box.classList.remove("refused");
  }

  begin() {
    this.clear();
    this.box.classList.add("running");
    this.box.setAttribute("aria-busy", "true");
    this.say("Searching …");
  }

  /** Shows what is being done while there is no text yet. */
  say(text) {
    this.stage.hidden = false;
    this.stage.replaceChildren(h("span", { class: "spinner", "aria-hidden": "true" }), text);
  }

  take(event, data) {
    if (this.isOver) return;
    switch (event) {
      case "plan":
        this.plan = data;
        break;
      case "step":
        this.say(`${stepName(data)}${data.texts.length ? `: ${clip(data.texts.join(" · "), 120)}` : ""} …`);
        break;
      case "sources":
        this.sources = data.sources;
        this.say(`Reading ${plural(data.sources.length, "passage")} …`);
        break;
      case "progress": {
        const seconds = Math.round((data.elapsed_ms ?? 0) / 1000);
        const share = typeof data.share === "number" ? `, ${Math.round(data.share * 100)} %` : "";
        const doing = { waiting: "waits for its turn", reading: `reads ${plural(this.sources.length, "passage")}${share}`, thinking: "thinks" }[data.stage] ?? data.stage;
        if (!this.text) this.say(`${data.generator} ${doing} … ${seconds} s`);
        break;
      }
      case "token":
        this.stage.hidden = true;
        this.body.hidden = false;
        this.text += data.text;
        this.draw();
        break;
      case "reset":
        // What was written so far did not pass the check: it is no answer, and what follows begins anew.
        this.text = "";
        this.citations = [];
        this.body.hidden = true;
        this.body.replaceChildren();
        this.say("Checking again …");
        break;
      case "citation":
        this.citations.push(data);
        break;
      case "done":
        this.finish(data);
        break;
      case "error":
        this.fail(data.error.message);
        break;
    }
  }

  /** Redraws at most once for each frame of the screen. */
  draw() {
    if (this.isDrawing) return;
    this.isDrawing = true;
    requestAnimationFrame(() => {
      this.isDrawing = false;
      if (!this.isOver) this.drawBody();
    });
  }

  drawBody() {
    const seen = new Map();
    this.body.replaceChildren(...drawText(this.text, (text) => this.pieces(text, seen)));
  }

  /** A text with its markers as buttons. The n-th `[1]` of the answer opens the n-th citation numbered 1: `seen` counts them. */
  pieces(text, seen) {
    const pieces = [];
    let end = 0;
    for (const match of text.matchAll(/\[(\d{1,3})\]/g)) {
      const marker = Number(match[1]);
      const target = this.target(marker, seen.get(marker) ?? 0);
      if (!target) continue;
      seen.set(marker, (seen.get(marker) ?? 0) + 1);
      const button = h("button", {
        class: "marker", type: "button", "aria-pressed": "false", "aria-label": `Source ${marker}: ${nameOf(target)}`, title: nameOf(target),
        onclick: (event) => openSource(target, event.currentTarget),
      }, String(marker));
      // A marker stays on the line of the word before it, unless that word is very long.
      const [, before, word] = text.slice(end, match.index).match(/^([^]*?)(\S{0,30} ?)$/);
      pieces.push(before, h("span", { class: "together" }, word.trimEnd(), "\u00a0", button));
      end = match.index + match[0].length;
    }
    pieces.push(text.slice(end));
    return pieces;
  }

  target(marker, occurrence) {
    const own = this.citations.filter((citation) => citation.marker === marker);
    if (own.length) return own[Math.min(occurrence, own.length - 1)];
    return this.isOver ? null : this.sources[marker - 1];
  }

  end() {
    this.isOver = true;
    this.box.classList.remove("running");
    this.box.setAttribute("aria-busy", "false");
    this.stage.hidden = true;
  }

  /** The question stays, with a way to ask it again. */
  fail(message) {
    if (this.isOver) return;
    this.failure = message;
    this.end();
    this.body.hidden = this.text === "";
    this.drawBody();
    this.facts.replaceChildren(
      h("p", { class: "error", role: "alert" }, message),
      h("button", { class: "secondary retry", type: "button", onclick: () => !answering && run(() => ask(this)) }, "Try again"));
  }

  finish(answer) {
    this.answer = answer;
    this.citations = answer.citations;
    this.text = answer.answer;
    this.end();
    this.body.hidden = false;
    this.drawBody();
    this.box.classList.toggle("refused", answer.refused);
    this.facts.replaceChildren(
      evidencePill(answer),
      ...(answer.refused ? [] : [h("span", { class: "pill" }, answer.generator === "extractive" ? "Quoted from the documents" : `Written by ${answer.generator}`)]),
      h("span", { class: "pill" }, duration(answer.timings_ms.total ?? 0)),
      ...answer.degradation.map(rungPill));

    const cited = new Set(answer.citations.map((citation) => citation.chunk_id));
    const others = (answer.nearest?.length ? answer.nearest : this.sources).filter((source) => !cited.has(source.chunk_id));
    const passages = groupByPlace(others.map((source) => ({ item: source, marker: "", quote: clip(source.text.replace(/\s*\n\s*/g, "\n"), 400) })));
    const quotes = groupByPlace(answer.citations.map((citation) => ({ item: citation, marker: citation.marker, quote: citation.quote })));
    this.extra.replaceChildren(...[
      quotes.length && h("h3", { class: "sources-title" }, "Sources"),
      quotes.length && h("ol", { class: "sources" }, quotes.map((group) => h("li", {}, sourceCard(group)))),
      // A refusal that hides what was found leaves its reader with nothing.
      passages.length && answer.refused && h("h3", { class: "sources-title nearest" }, nearestTitle(answer.answer)),
      passages.length && answer.refused && h("ol", { class: "sources nearest" }, passages.slice(0, 3).map((group) => h("li", {}, sourceCard(group)))),
      passages.length > (answer.refused ? 3 : 0) && h("details", { class: "more" },
        h("summary", {}, `${plural(passages.length - (answer.refused ? 3 : 0), "more place")} found`),
        h("ol", { class: "sources" }, passages.slice(answer.refused ? 3 : 0).map((group) => h("li", {}, sourceCard(group))))),
      answer.rejected?.length && h("details", { class: "more why" }, h("summary", {}, "Why not the model’s own words?"),
        answer.rejected.map((each) => h("div", { class: "rejected" },
          h("p", { class: "note" }, `${each.generator} wrote this, and it was not used: ${each.reason}`), h("blockquote", {}, each.text)))),
      answer.steps?.length > 1 && h("details", { class: "more" }, h("summary", {}, "How it was searched"),
        this.plan && h("p", { class: "note" }, this.plan.stages.map((stage) => `${stage.name}: ${stage.detail}`).join(" → ")),
        h("ol", {}, answer.steps.map((step) => h("li", {}, stepName(step), step.texts.length ? `: ${step.texts.join(" · ")}` : ": nothing",
          h("span", { class: "note" }, ` ${[step.passages != null && plural(step.passages, "passage"), duration(step.ms)].filter(Boolean).join(", ")}`))))),
      h("details", { class: "more" }, h("summary", {}, "Where the time went"), timingBars(answer.timings_ms)),
    ].filter(Boolean));
    announce(`${answer.answer} ${plural(quotes.length, "source")}.`);
  }

  // Kept in the browser

  record() {
    const passage = (source) => ({
      document_id: source.document_id, chunk_id: source.chunk_id, source: source.source, title: source.title, page: source.page, last_page: source.last_page, span: source.span, text: clip(source.text ?? "", 400),
    });
    const record = { question: this.question, collection: this.collection };
    if (this.answer) {
      record.answer = { ...this.answer, nearest: this.answer.nearest?.map(passage) };
      record.sources = this.sources.map(passage);
    } else {
      record.text = this.text;
      record.failure = this.failure;
    }
    return record;
  }

  static from(record) {
    const turn = new Turn(record.question, record.collection ?? "default");
    if (record.answer) {
      turn.sources = record.sources ?? [];
      turn.finish(record.answer);
    } else {
      turn.text = record.text ?? "";
      turn.fail(record.failure ?? "The page was closed before the answer came.");
    }
    return turn;
  }
}

/** Rows without their bars, for where a table would be too much. */
const plainRows = (text) => text.split("\n").filter((line) => !isRule(line)).map((line) => isRow(line) ? splitCells(line).join(" · ") : line).join("\n");

const clip = (text, length) => text.length > length ? `${text.slice(0, length).trimEnd()} …` : text;

/** Quotes of one page, or of one document without pages, belong on one card. */
function groupByPlace(entries) {
  const groups = new Map();
  for (const entry of entries) {
    const place = `${entry.item.document_id} ${entry.item.page ?? ""}`;
    if (!groups.has(place)) groups.set(place, []);
    const group = groups.get(place);
    const known = group.find((each) => each.quote === entry.quote);
    if (!known) group.push({ ...entry, markers: [entry.marker] });
    else if (!known.markers.includes(entry.marker)) known.markers.push(entry.marker);
  }
  return [...groups.values()];
}

/** A card for one place: its name, and each quote from there as a button that opens it. */
function sourceCard(group) {
  const [first] = group;
  const markers = [...new Set(group.flatMap((entry) => entry.markers))].filter((marker) => marker !== "");
  const open = (entry) => (event) => {
    event.stopPropagation();
    openSource(entry.item, event.currentTarget);
  };
  return h("div", { class: "source-card", onclick: (event) => openSource(first.item, event.currentTarget.querySelector("button")) },
    h("span", { class: "number" }, markers.join(", ")),
    h("span", { class: "name" }, nameOf(first.item), pageOf(first.item) ? h("span", { class: "note" }, ` · ${pageOf(first.item)}`) : null),
    h("div", { class: "quotes" }, group.map((entry) =>
      h("button", { class: "quote", type: "button", "aria-pressed": "false", onclick: open(entry) }, plainRows(entry.quote)))));
}

// ---------------------------------------------------------------- Search

$("search-form").addEventListener("submit", (event) => {
  event.preventDefault();
  run(search);
});
for (const radio of document.querySelectorAll("input[name=mode]")) {
  radio.addEventListener("change", () => $("query").value.trim() && run(search));
}

let searchNumber = 0;
async function search() {
  const query = $("query").value.trim();
  if (!query) return;
  const current = ++searchNumber;
  const mode = document.querySelector("input[name=mode]:checked").value;
  showError(null);
  $("search-status").replaceChildren(h("span", { class: "spinner", "aria-hidden": "true" }), "Searching …");
  let found;
  try {
    found = await post("/v1/search", { query, mode, collection: collection(), k: 20 });
  } catch (error) {
    if (current !== searchNumber) return;
    $("results").replaceChildren();
    $("search-status").replaceChildren(h("span", { class: "error" }, error.message), " ", h("button", { class: "secondary retry", type: "button", onclick: () => run(search) }, "Try again"));
    if (error.status === 0) serverIsAway();
    return;
  }
  if (current !== searchNumber) return;
  $("results").replaceChildren(...found.results.map(resultItem));
  const timings = h("details", { class: "more" }, h("summary", {}, "Where the time went"), timingBars(found.timings_ms));
  $("search-status").replaceChildren(
    found.results.length ? `${plural(found.results.length, "passage")} in ${duration(found.timings_ms.total ?? 0)}` : "Nothing was found. Try other words, or search by meaning.",
    ...found.degradation.flatMap((rung) => [" ", rungPill(rung)]), timings);
}

function resultItem(result) {
  const spans = [...result.highlights].sort((a, b) => a.start - b.start);
  const indices = stringIndices(result.text, spans.flatMap((span) => [span.start, span.end]));
  const pieces = [];
  let end = 0;
  // What was found shall be seen: a long passage begins shortly before its first word.
  if (indices.length && indices[0] > 240) {
    end = Math.max(result.text.lastIndexOf("\n", indices[0]), result.text.indexOf(" ", indices[0] - 120)) + 1;
    pieces.push("… ");
  }
  for (let i = 0; i < indices.length; i += 2) {
    if (indices[i] < end) continue;
    pieces.push(result.text.slice(end, indices[i]), h("mark", {}, result.text.slice(indices[i], indices[i + 1])));
    end = indices[i + 1];
  }
  pieces.push(result.text.slice(end));
  return h("li", { class: "result" },
    h("h3", {}, h("button", { type: "button", onclick: (event) => openSource(result, event.currentTarget) }, nameOf(result))),
    h("div", { class: "note" }, [result.heading, pageOf(result), shortSource(result.source)].filter(Boolean).join(" · ")),
    h("div", { class: "text" }, pieces),
    h("div", { class: "scores" },
      h("span", { class: "pill good" }, `score ${result.score.toFixed(3)}`),
      Object.entries(result.scores).map(([name, score]) => h("span", { class: "pill" }, `${name} ${score.toFixed(3)}`))));
}

// ---------------------------------------------------------------- Source panel

const windowSize = 20000;
const narrow = matchMedia("(max-width: 60rem)");
let opener = null;
let opened = null;

/** Shows a document's text around a span of bytes, with the span marked. */
async function openSource(item, from) {
  // Highlights count from the passage's beginning; here they count from the document's.
  const words = (item.highlights ?? []).map((each) => ({ start: item.span.start + each.start, end: item.span.start + each.end }));
  const state = { id: item.document_id, span: item.span, words, start: Math.max(0, (item.span?.start ?? 0) - windowSize), end: (item.span?.end ?? 0) + windowSize };
  if (opener) opener.setAttribute("aria-pressed", "false");
  opener = from ?? null;
  if (opener && opener.hasAttribute("aria-pressed")) opener.setAttribute("aria-pressed", "true");
  opened = state;
  $("source-title").textContent = nameOf(item);
  $("source-meta").textContent = [pageOf(item), shortSource(item.source)].filter(Boolean).join(" · ");
  $("source-meta").title = item.source;
  $("source-body").replaceChildren(h("p", { class: "note" }, h("span", { class: "spinner", "aria-hidden": "true" }), "Opening …"));
  $("source").hidden = false;
  setBackgroundInert();
  $("source-title").focus({ preventScroll: true });
  try {
    await loadSource(state);
    const mark = $("source-body").querySelector("mark");
    if (mark) mark.scrollIntoView({ block: "center" });
    else $("source-body").scrollTop = 0;
  } catch (error) {
    if (opened === state) $("source-body").replaceChildren(h("p", { class: "error", role: "alert" }, error.status === 404 ? "This document has been deleted." : error.message));
  }
}

function setBackgroundInert() {
  const isCovering = !$("source").hidden && narrow.matches;
  $("main").inert = isCovering;
  document.querySelector(".top").inert = isCovering;
}
narrow.addEventListener("change", setBackgroundInert);

async function loadSource(state) {
  const body = await get(`/v1/documents/${encodeURIComponent(state.id)}/text?start=${state.start}&end=${state.end}`);
  if (opened !== state) return;
  state.start = body.span.start;
  state.end = body.span.end;
  $("source-body").replaceChildren(
    ...(body.span.start > 0 ? [h("button", { class: "secondary", type: "button", onclick: () => run(() => growSource(state, -2 * windowSize, 0)) }, "Show earlier text")] : []),
    ...sourcePieces(body, state.span, state.words),
    ...(body.span.end < body.bytes ? [h("button", { class: "secondary", type: "button", onclick: () => run(() => growSource(state, 0, 2 * windowSize)) }, "Show later text")] : []));
}

async function growSource(state, before, after) {
  const panel = $("source-body");
  const fromBottom = panel.scrollHeight - panel.scrollTop;
  const top = panel.scrollTop;
  state.start = Math.max(0, state.start + before);
  state.end += after;
  await loadSource(state);
  panel.scrollTop = before ? panel.scrollHeight - fromBottom : top;
}

/** Cuts the text at page starts and at the bounds of the span and of the words found in it. With words known these are marked, and the span only set off. */
function sourcePieces(body, span, words) {
  const { start, end } = body.span;
  const pages = new Map(body.pages.filter((page) => page.span.start >= start && page.span.start < end).map((page) => [page.span.start, page.number]));
  const cuts = new Set([start, end, ...pages.keys()]);
  for (const each of [span, ...words].filter(Boolean)) for (const cut of [each.start, each.end]) if (cut > start && cut < end) cuts.add(cut);
  const offsets = [...cuts].sort((a, b) => a - b);
  const indices = stringIndices(body.text, offsets.map((offset) => offset - start));
  const isIn = (offset, each) => each && offset >= each.start && offset < each.end;
  const pieces = [];
  for (let i = 0; i + 1 < offsets.length || i === 0; i += 1) {
    if (pages.has(offsets[i])) pieces.push(h("span", { class: "page-start" }, `Page ${pages.get(offsets[i])}`));
    const text = body.text.slice(indices[i], indices[i + 1]);
    const isMarked = words.length ? words.some((word) => isIn(offsets[i], word)) : isIn(offsets[i], span);
    pieces.push(isMarked ? h("mark", { tabindex: "-1" }, text) : isIn(offsets[i], span) ? h("span", { class: "passage" }, text) : text);
  }
  return pieces;
}

function closeSource() {
  if ($("source").hidden) return;
  $("source").hidden = true;
  opened = null;
  setBackgroundInert();
  if (opener) {
    if (opener.hasAttribute("aria-pressed")) opener.setAttribute("aria-pressed", "false");
    if (opener.isConnected) opener.focus({ preventScroll: true });
  }
  opener = null;
}
$("source-close").addEventListener("click", closeSource);
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !document.querySelector("dialog[open]")) closeSource();
});

// ---------------------------------------------------------------- Documents

let page = { next: null };
let filterTimer = null;
let shownCollection = null;
let refreshTimer = null;

/** Shows what a running job has taken in so far, every two seconds at most, unless someone has read on below the first page. */
function refreshDocuments() {
  if (refreshTimer || currentView !== "documents" || $("documents").childElementCount > 50) return;
  refreshTimer = setTimeout(() => {
    refreshTimer = null;
    if (currentView === "documents" && shownCollection === collection()) loadDocuments().catch(() => {});
  }, 2000);
}

async function enterDocuments() {
  await Promise.all([loadDocuments(), loadJobs()]);
}

async function loadDocuments(after = null) {
  const parameters = new URLSearchParams({ collection: collection(), limit: "50" });
  const search = $("documents-search").value.trim();
  if (search) parameters.set("search", search);
  if (after) parameters.set("after", after);
  shownCollection = collection();
  if (!after && !$("documents").childElementCount) $("documents-status").replaceChildren(h("span", { class: "spinner", "aria-hidden": "true" }), "Loading …");
  const list = await get(`/v1/documents?${parameters}`);
  page = list;
  const items = list.documents.map(documentItem);
  if (after) $("documents").append(...items);
  else $("documents").replaceChildren(...items);
  $("documents-count").textContent = list.total ? number.format(list.total) : "";
  $("documents-more").hidden = !list.next;
  $("documents-status").textContent = list.documents.length || after ? "" : search ? `No title or source contains “${search}”.` : "Nothing here yet. Add files above; they can be asked about as soon as they appear in this list.";
}

$("documents-more").addEventListener("click", () => run(() => loadDocuments(page.next)));
$("documents-search").addEventListener("input", () => {
  clearTimeout(filterTimer);
  filterTimer = setTimeout(() => run(() => loadDocuments()), 250);
});

function documentItem(item) {
  const details = [item.pages && plural(item.pages, "page"), plural(item.chunks, "passage"), size(item.bytes), time(item.updated_at), shortSource(item.source) === nameOf(item) ? null : shortSource(item.source)];
  return h("li", { "data-id": item.id },
    h("div", { class: "name" },
      h("button", { class: "open", type: "button", title: item.source, "aria-label": `Open ${nameOf(item)}`, onclick: (event) => openSource({ document_id: item.id, source: item.source, title: item.title, span: { start: 0, end: 0 } }, event.currentTarget) }, nameOf(item)),
      h("div", { class: "note" }, details.filter(Boolean).join(" · "))),
    h("button", { class: "quiet remove", type: "button", "aria-label": `Delete ${nameOf(item)}`, onclick: (event) => run(() => deleteDocument(item, event.currentTarget)) }, "Delete"));
}

async function deleteDocument(item, button) {
  const dialog = $("confirm-dialog");
  $("confirm-text").textContent = `“${nameOf(item)}” with its ${plural(item.chunks, "passage")} disappears from every search and answer at once. Files on your disk are not touched.`;
  dialog.returnValue = "cancel";
  dialog.showModal();
  await new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
  if (dialog.returnValue !== "confirm") return;
  button.disabled = true;
  try {
    await send(`/v1/documents/${encodeURIComponent(item.id)}`, { method: "DELETE" });
  } catch (error) {
    button.disabled = false;
    if (error.status !== 404) throw error;
  }
  if (opened && opened.id === item.id) closeSource();
  announce(`${nameOf(item)} was deleted.`);
  await loadDocuments();
  $("documents-search").focus({ preventScroll: true });
}

// Uploads

const drop = $("drop");
for (const id of ["files", "folder"]) {
  $(id).addEventListener("change", () => {
    upload([...$(id).files].map((file) => ({ file, name: file.webkitRelativePath || file.name })));
    $(id).value = "";
  });
}
drop.addEventListener("submit", (event) => event.preventDefault());
for (const name of ["dragenter", "dragover"]) {
  drop.addEventListener(name, (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
}
for (const name of ["dragleave", "drop"]) {
  drop.addEventListener(name, (event) => {
    event.preventDefault();
    if (name === "drop" || !drop.contains(event.relatedTarget)) drop.classList.remove("over");
  });
}
drop.addEventListener("drop", (event) => {
  // The entries are gone when this handler has returned, so they are taken at once.
  const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  const files = [...event.dataTransfer.files].map((file) => ({ file, name: file.name }));
  if (entries.some((entry) => entry.isDirectory)) run(async () => upload((await Promise.all(entries.map(filesOf))).flat()));
  else upload(files);
});

/** All files below a dropped file or folder, with their paths from there. */
async function filesOf(entry) {
  if (entry.isFile) return [{ file: await new Promise((resolve, reject) => entry.file(resolve, reject)), name: entry.fullPath.replace(/^\//, "") }];
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) return (await Promise.all(found.map(filesOf))).flat();
    found.push(...some);
  }
}
// A file dropped beside the box must not replace the page.
for (const name of ["dragover", "drop"]) window.addEventListener(name, (event) => event.preventDefault());

/** Takes `{file, name}`; the name of a file from a folder is its path there. */
function upload(files) {
  files = files.filter(({ name }) => !name.split("/").some((part) => part.startsWith(".")));
  if (!files.length) return;
  run(async () => {
    showError(null);
    const box = new JobBox(files.length === 1 ? files[0].name : plural(files.length, "file"), files.map(({ name }) => name));
    $("uploads").prepend(box.element);
    try {
      const job = await sendFiles(files, (share) => box.show(`Sending … ${Math.round(share * 100)} %`, share * 0.3));
      await box.follow(job.job_id, 0.3);
      await loadDocuments();
      await loadCollections();
    } catch (error) {
      box.fail(error.message);
    }
  });
}

/** XMLHttpRequest, because fetch does not tell how much has been sent. */
function sendFiles(files, onProgress) {
  const form = new FormData();
  form.append("collection", collection());
  for (const { file, name } of files) form.append("file", file, name);
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", "/v1/documents");
    for (const [name, value] of Object.entries(headers())) request.setRequestHeader(name, value);
    request.responseType = "json";
    request.upload.addEventListener("progress", (event) => event.lengthComputable && onProgress(event.loaded / event.total));
    request.addEventListener("load", async () => {
      if (request.status === 401) {
        sessionStorage.removeItem(keyName);
        await askForKey(false);
        sendFiles(files, onProgress).then(resolve, reject);
      } else if (request.status >= 200 && request.status < 300) {
        resolve(request.response);
      } else {
        reject(new RequestError(request.response?.error?.message ?? `The server answered ${request.status}`, request.status));
      }
    });
    request.addEventListener("error", () => reject(new RequestError("The upload was interrupted. Is the server still running?", 0)));
    request.send(form);
  });
}

/** What a file's stage is called while it lasts. */
const stageWords = { queued: "waiting", hashing: "reading", parsing: "reading", chunking: "cutting into passages", embedding: "computing vectors", committing: "storing", indexed: "ready", refused: "not taken", unchanged: "unchanged", failed: "failed", cancelled: "cancelled" };

/** Coarse on purpose: a guess to the second jumps about, and is believed. */
function roughly(seconds) {
  if (seconds < 60) return "less than a minute";
  if (seconds < 3600) return `about ${plural(Math.round(seconds / 60), "minute")}`;
  return `about ${plural(Math.round(seconds / 3600), "hour")}`;
}

/** A job on the page: a bar and each file's stage while it runs, then its outcome with the reasons for what was not taken in. */
class JobBox {
  constructor(name, fileNames = []) {
    this.name = h("strong", {}, name);
    this.note = h("span", { class: "note" });
    this.tools = h("span");
    this.bar = h("progress", { max: "1", "aria-label": `Progress of ${name}` });
    this.bar.value = 0;
    this.files = h("ul", { class: "job-files" });
    this.reasons = h("ul", { class: "reasons" });
    this.element = h("div", { class: "job" }, h("div", { class: "job-head" }, this.name, this.note, this.tools), this.bar, this.files, this.reasons);
    this.rows = new Map();
    this.begun = Date.now();
    if (fileNames.length > 1) for (const each of fileNames) this.showFile(each, "queued");
  }

  show(text, share) {
    this.note.textContent = text;
    this.bar.value = share;
  }

  /** One line a file. What has ended goes below what still runs, and long lists are cut. */
  showFile(path, stage) {
    let row = this.rows.get(path);
    if (!row) {
      row = { stage: h("span", { class: "file-stage" }) };
      row.element = h("li", {}, h("span", { class: "file-name", title: path }, shortSource(path)), row.stage);
      this.rows.set(path, row);
      this.files.append(row.element);
    }
    if (row.is === stage) return;
    row.is = stage;
    row.stage.textContent = stageWords[stage] ?? stage;
    row.element.dataset.stage = stage;
    if (["indexed", "unchanged", "refused", "failed", "cancelled"].includes(stage)) this.files.append(row.element);
    else if (stage !== "queued") this.files.prepend(row.element);
  }

  fail(message) {
    this.bar.hidden = true;
    this.files.hidden = true;
    this.tools.replaceChildren();
    this.note.replaceChildren(h("span", { class: "error" }, message));
  }

  progress(status, base) {
    const stages = Object.entries(status.stages).filter(([stage, count]) => count > 0 && !["queued", "indexed", "refused", "unchanged", "failed", "cancelled"].includes(stage));
    const doing = stages.length ? ` · ${stages.map(([stage, count]) => `${count} ${stageWords[stage] ?? stage}`).join(", ")}` : "";
    const isKnown = status.eta_s > 1 && Date.now() - this.begun > 5000 && status.progress > 0.1;
    this.show(`${status.finished_count} of ${plural(status.file_count, "file")}${doing}${isKnown ? ` · ${roughly(status.eta_s)} left` : ""}${status.waiting ? ` · ${status.waiting}` : ""}`, base + status.progress * (1 - base));
    for (const file of status.working ?? []) this.showFile(file.path, file.stage);
  }

  async follow(id, base = 0) {
    this.tools.replaceChildren(h("button", { class: "secondary", type: "button", onclick: () => run(() => post(`/v1/jobs/${encodeURIComponent(id)}/cancel`)) }, "Cancel"));
    for (;;) {
      try {
        const response = await send(`/v1/jobs/${encodeURIComponent(id)}/events`);
        for await (const { event, data } of events(response)) {
          if (event === "progress") {
            this.progress(data, base);
          } else if (event === "file") {
            this.showFile(data.path, data.outcome);
            if (data.outcome === "indexed") refreshDocuments();
          } else if (event === "summary") {
            this.finish(data.job);
            return;
          } else if (event === "error") {
            throw new RequestError(data.error.message, 503);
          }
        }
      } catch (error) {
        // The job goes on when the server is back: it is asked for again. Only what the server itself says ends this.
        if (error instanceof RequestError && error.status !== 0 && error.status !== 503) throw error;
        this.note.textContent = "Waiting for the server …";
      }
      // The stream ended before the job did (the server restarted): ask again.
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
  }

  finish(job) {
    this.bar.hidden = true;
    this.files.hidden = true;
    const count = (stage) => job.stages[stage] ?? 0;
    const parts = ["indexed", "unchanged", "refused", "failed", "cancelled"].filter(count).map((stage) => `${count(stage)} ${stage}`);
    this.note.textContent = parts.join(", ") || job.state;
    this.tools.replaceChildren();
    if (count("failed") > 0 && job.state !== "running") {
      this.tools.append(h("button", {
        class: "secondary", type: "button",
        onclick: () => run(async () => {
          await post(`/v1/jobs/${encodeURIComponent(job.id)}/retry`);
          this.bar.hidden = false;
          await this.follow(job.id);
          await loadDocuments();
        }),
      }, "Retry"));
    }
    const problems = job.files.filter((file) => file.outcome === "refused" || file.outcome === "failed");
    const notes = job.files.filter((file) => file.outcome === "indexed" && file.reason);
    this.reasons.replaceChildren(...[...problems, ...notes].slice(0, 50).map((file) => h("li", {}, h("b", { title: file.path }, shortSource(file.path)), " ", h("span", { class: "why" }, file.reason ?? file.outcome))),
      ...(problems.length + notes.length > 50 ? [h("li", { class: "note" }, `and ${problems.length + notes.length - 50} more`)] : []));
    announce(`${this.name.textContent}: ${this.note.textContent}`);
  }
}

async function loadJobs() {
  const { jobs } = await get("/v1/jobs?limit=10");
  const boxes = jobs.map((job) => {
    const name = job.file_count === 1 && job.files.length === 1 ? baseName(job.files[0].path) : plural(job.file_count, "file");
    const box = new JobBox(`${name}, ${time(job.created_at)}`);
    if (job.state === "queued" || job.state === "running") {
      box.show(`${job.finished_count} of ${plural(job.file_count, "file")}`, job.progress);
      run(() => box.follow(job.id)).then(() => currentView === "documents" && run(() => loadDocuments()));
    } else {
      box.finish(job);
    }
    return box.element;
  });
  announce("");
  $("jobs").replaceChildren(...(boxes.length ? boxes : [h("p", { class: "note" }, "No uploads so far.")]));
}

// ---------------------------------------------------------------- Status

async function enterStatus() {
  const ready = await fetch("/health/ready").then((response) => response.json(), () => ({ status: "not reachable", reasons: [] }));
  const [info, { recent }, collections] = await Promise.all([get("/v1/info"), get("/v1/timings"), loadCollections()]);
  const facts = (pairs) => h("dl", {}, pairs.filter(([, value]) => value !== null && value !== undefined).map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
  const card = (title, ...content) => h("div", { class: "card" }, h("h2", {}, title), content);
  $("status-cards").replaceChildren(
    card("Server", h("div", { class: `big ${ready.status === "ready" ? "good" : "bad"}` }, ready.status === "ready" ? "Ready" : ready.status),
      ready.reasons.map((reason) => h("p", { class: "note" }, reason)),
      facts([["Version", info.version], ["Running for", duration(info.uptime_s * 1000)]])),
    card("Models", facts([
      ...info.models.map((model) => [model.kind, model.dimension ? `${model.name} · ${model.dimension} d` : model.name]),
      ...(info.models.some((model) => model.kind === "generation") ? [] : [["answers by", info.generators.join(", ")]])])),
    ...collections.map((each) => card(`Collection ${each.name}`, h("div", { class: "big" }, plural(each.documents, "document")),
      facts([["Passages", number.format(each.chunks)], ["Text", size(each.text_bytes)]]))),
    card("Limits", facts([
      ["Upload", size(info.limits.max_body_bytes)], ["Question", size(info.limits.max_question_bytes)],
      ["At the same time", number.format(info.limits.max_concurrent_requests)], ["Waiting", number.format(info.limits.queue_limit)]])));
  $("timings").replaceChildren(...(recent.length
    ? recent.slice(0, 20).map((entry) => h("div", { class: "timing" },
      h("div", { class: "timing-head" }, h("strong", {}, entry.kind === "answer" ? "Answer" : "Search"),
        entry.generator && h("span", { class: "pill" }, entry.generator), h("span", { class: "note" }, time(entry.at))),
      timingBars(entry.timings_ms)))
    : [h("p", { class: "card note" }, "No questions since the server started.")]));
}

// ---------------------------------------------------------------- Start

$("collection").addEventListener("change", () => run(views[currentView].enter));
window.addEventListener("hashchange", route);
run(loadCollections);
route();
restoreConversation();
