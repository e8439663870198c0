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
  const banner = $("banner");
  banner.textContent = error ? error.message || String(error) : "";
  banner.hidden = !error;
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

/** Runs something and shows its error. */
async function run(action) {
  try {
    return await action();
  } catch (error) {
    if (error.name !== "AbortError") showError(error);
  }
}

// ---------------------------------------------------------------- Timings chart

const stageOrder = ["rewrite", "filter", "embed", "text", "vector", "fuse", "rerank", "fetch", "retrieve", "prompt", "first_token", "generate", "check"];
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

const conversation = [];
let answering = null;

async function enterAsk() {
  const [info, list] = await Promise.all([get("/v1/info"), get(`/v1/documents?limit=1&collection=${encodeURIComponent(collection())}`).catch(() => ({ total: 0 }))]);
  const chosen = $("generator").value;
  $("generator").replaceChildren(...info.generators.map((name) => h("option", { value: name, selected: name === chosen }, name)));
  $("ask-hint").replaceChildren(list.total > 0
    ? `${plural(list.total, "document")} in “${collection()}”.`
    : h("span", {}, "There are no documents yet. ", h("a", { href: "#/documents" }, "Add some first.")));
}

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
  conversation.length = 0;
  $("turns").replaceChildren();
  $("ask-empty").hidden = false;
  $("new-conversation").hidden = true;
  closeSource();
  question.focus();
});
$("ask-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = question.value.trim();
  if (!text || answering) return;
  question.value = "";
  fitQuestion();
  run(() => ask(text));
});

async function ask(text) {
  showError(null);
  $("ask-empty").hidden = true;
  $("new-conversation").hidden = false;
  $("ask-send").hidden = true;
  $("ask-stop").hidden = false;
  const turn = new Turn(text);
  $("turns").append(turn.element);
  turn.element.scrollIntoView({ block: "start", behavior: "smooth" });
  answering = new AbortController();
  try {
    const body = { question: text, collection: collection(), turns: conversation.slice(-8), stream: true };
    if ($("generator").value) body.generator = $("generator").value;
    const response = await send("/v1/answer", {
      method: "POST", signal: answering.signal, body: JSON.stringify(body),
      headers: { "Content-Type": "application/json", Accept: "text/event-stream" },
    });
    for await (const { event, data } of events(response)) turn.take(event, data);
    if (!turn.isOver) turn.fail("The connection ended before the answer did.");
  } catch (error) {
    if (error.name === "AbortError") turn.fail("Stopped.");
    else turn.fail(error.message);
  } finally {
    answering = null;
    $("ask-send").hidden = false;
    $("ask-stop").hidden = true;
  }
  if (turn.answer && !turn.answer.refused) {
    conversation.push({ role: "user", content: text }, { role: "assistant", content: turn.answer.answer });
  }
}

/** One question with its answer on the page. */
class Turn {
  constructor(text) {
    this.text = "";
    this.sources = [];
    this.citations = [];
    this.isOver = false;
    this.answer = null;
    this.stage = h("div", { class: "stage" }, h("span", { class: "spinner", "aria-hidden": "true" }), "Searching …");
    this.body = h("div", { class: "answer-text" });
    this.facts = h("div", { class: "facts" });
    this.box = h("div", { class: "answer running", "aria-busy": "true" }, this.stage, this.body, this.facts);
    this.extra = h("div", { class: "turn-extra" });
    this.element = h("li", { class: "turn" }, h("h2", { class: "turn-question" }, text), this.box, this.extra);
    this.body.hidden = true;
  }

  take(event, data) {
    switch (event) {
      case "sources":
        this.sources = data.sources;
        this.stage.replaceChildren(h("span", { class: "spinner", "aria-hidden": "true" }), `Reading ${plural(data.sources.length, "passage")} …`);
        break;
      case "token":
        this.stage.hidden = true;
        this.body.hidden = false;
        this.text += data.text;
        this.draw();
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
      if (this.isOver) return;
      this.isDrawing = false;
      this.body.replaceChildren(...this.pieces(this.text));
    });
  }

  /** The text with its markers as buttons. The n-th `[1]` opens the n-th citation numbered 1. */
  pieces(text) {
    const seen = new Map();
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

  fail(message) {
    if (this.isOver) return;
    this.end();
    this.body.hidden = this.text === "";
    this.body.replaceChildren(this.text);
    this.facts.replaceChildren(h("p", { class: "error", role: "alert" }, message));
  }

  finish(answer) {
    this.answer = answer;
    this.citations = answer.citations;
    this.text = answer.answer;
    this.end();
    this.body.hidden = false;
    this.body.replaceChildren(...this.pieces(answer.answer));
    this.box.classList.toggle("refused", answer.refused);
    const percent = Math.round(answer.confidence * 100);
    this.facts.replaceChildren(
      ...(answer.refused ? [h("span", { class: "pill warn" }, "No supported answer")] : []),
      h("span", { class: `pill ${answer.refused ? "" : percent >= 60 ? "good" : "warn"}` }, `Confidence ${percent} %`),
      h("span", { class: "pill" }, answer.generator),
      h("span", { class: "pill" }, duration(answer.timings_ms.total ?? 0)),
      ...answer.degradation.map((rung) => h("span", { class: "pill warn" }, rung.replaceAll("_", " "))));

    const cited = new Set(answer.citations.map((citation) => citation.chunk_id));
    const others = this.sources.filter((source) => !cited.has(source.chunk_id));
    this.extra.replaceChildren(...[
      answer.citations.length && h("h3", { class: "sources-title" }, "Sources"),
      answer.citations.length && h("ol", { class: "sources" }, answer.citations.map((citation) => h("li", {}, sourceCard(citation, citation.marker, citation.quote)))),
      others.length && h("details", { class: "more" }, h("summary", {}, `${plural(others.length, "more passage")} found`),
        h("ol", { class: "sources" }, others.map((source) => h("li", {}, sourceCard(source, "", source.text.slice(0, 240)))))),
      h("details", { class: "more" }, h("summary", {}, "Where the time went"), timingBars(answer.timings_ms)),
    ].filter(Boolean));
    announce(`${answer.answer} ${plural(answer.citations.length, "source")}.`);
  }
}

function sourceCard(item, marker, quote) {
  return h("button", { class: "source-card", type: "button", "aria-pressed": "false", onclick: (event) => openSource(item, event.currentTarget) },
    h("span", { class: "number" }, String(marker)),
    h("span", { class: "name" }, nameOf(item), item.page ? h("span", { class: "note" }, ` · page ${item.page}`) : null),
    h("span", { class: "quote" }, quote));
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
    $("search-status").replaceChildren(h("span", { class: "error" }, error.message));
    return;
  }
  if (current !== searchNumber) return;
  $("results").replaceChildren(...found.results.map(resultItem));
  const timings = h("details", { class: "more" }, h("summary", {}, "Where the time went"), timingBars(found.timings_ms));
  $("search-status").replaceChildren(
    found.results.length ? `${plural(found.results.length, "passage")} in ${duration(found.timings_ms.total ?? 0)}` : "Nothing was found. Try other words, or search by meaning.",
    ...found.degradation.flatMap((rung) => [" ", h("span", { class: "pill warn" }, rung.replaceAll("_", " "))]), timings);
}

function resultItem(result) {
  const spans = [...result.highlights].sort((a, b) => a.start - b.start);
  const indices = stringIndices(result.text, spans.flatMap((span) => [span.start, span.end]));
  const pieces = [];
  let end = 0;
  for (let i = 0; i < indices.length; i += 2) {
    if (indices[i] < end) continue;
    pieces.push(result.text.slice(end, indices[i]), h("mark", {}, result.text.slice(indices[i], indices[i + 1])));
    end = indices[i + 1];
  }
  pieces.push(result.text.slice(end));
  return h("li", { class: "result" },
    h("h3", {}, h("button", { type: "button", onclick: (event) => openSource(result, event.currentTarget) }, nameOf(result))),
    h("div", { class: "note" }, [result.heading, result.page && `page ${result.page}`, baseName(result.source)].filter(Boolean).join(" · ")),
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
  const state = { id: item.document_id, span: item.span, start: Math.max(0, (item.span?.start ?? 0) - windowSize), end: (item.span?.end ?? 0) + windowSize };
  if (opener) opener.setAttribute("aria-pressed", "false");
  opener = from ?? null;
  if (opener && opener.hasAttribute("aria-pressed")) opener.setAttribute("aria-pressed", "true");
  opened = state;
  $("source-title").textContent = nameOf(item);
  $("source-meta").textContent = [item.page && `Page ${item.page}`, item.source].filter(Boolean).join(" · ");
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
    ...sourcePieces(body, state.span),
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

/** Cuts the text at page starts and at the span's bounds. */
function sourcePieces(body, span) {
  const { start, end } = body.span;
  const pages = new Map(body.pages.filter((page) => page.span.start >= start && page.span.start < end).map((page) => [page.span.start, page.number]));
  const cuts = new Set([start, end, ...pages.keys()]);
  if (span) for (const cut of [span.start, span.end]) if (cut > start && cut < end) cuts.add(cut);
  const offsets = [...cuts].sort((a, b) => a - b);
  const indices = stringIndices(body.text, offsets.map((offset) => offset - start));
  const pieces = [];
  for (let i = 0; i + 1 < offsets.length || i === 0; i += 1) {
    if (pages.has(offsets[i])) pieces.push(h("span", { class: "page-start" }, `Page ${pages.get(offsets[i])}`));
    const text = body.text.slice(indices[i], indices[i + 1]);
    const isMarked = span && offsets[i] >= span.start && offsets[i] < span.end;
    pieces.push(isMarked ? h("mark", { tabindex: "-1" }, text) : text);
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

async function enterDocuments() {
  await Promise.all([loadDocuments(), loadJobs()]);
}

async function loadDocuments(after = null) {
  const parameters = new URLSearchParams({ collection: collection(), limit: "50" });
  const search = $("documents-search").value.trim();
  if (search) parameters.set("search", search);
  if (after) parameters.set("after", after);
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
  const details = [item.pages && plural(item.pages, "page"), plural(item.chunks, "passage"), size(item.bytes), time(item.updated_at), item.title ? baseName(item.source) : null];
  return h("li", { "data-id": item.id },
    h("div", { class: "name" },
      h("button", { class: "open", type: "button", title: item.source, onclick: (event) => openSource({ document_id: item.id, source: item.source, title: item.title, span: { start: 0, end: 0 } }, event.currentTarget) }, nameOf(item)),
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
$("files").addEventListener("change", () => {
  upload([...$("files").files]);
  $("files").value = "";
});
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
drop.addEventListener("drop", (event) => upload([...event.dataTransfer.files]));
// A file dropped beside the box must not replace the page.
for (const name of ["dragover", "drop"]) window.addEventListener(name, (event) => event.preventDefault());

function upload(files) {
  if (!files.length) return;
  run(async () => {
    showError(null);
    const box = new JobBox(files.length === 1 ? files[0].name : plural(files.length, "file"));
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
  for (const file of files) form.append("file", file, file.webkitRelativePath || file.name);
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

/** A job on the page: a bar while it runs, then its outcome with the reasons for what was not taken in. */
class JobBox {
  constructor(name) {
    this.name = h("strong", {}, name);
    this.note = h("span", { class: "note" });
    this.tools = h("span");
    this.bar = h("progress", { max: "1", "aria-label": `Progress of ${name}` });
    this.bar.value = 0;
    this.reasons = h("ul", { class: "reasons" });
    this.element = h("div", { class: "job" }, h("div", { class: "job-head" }, this.name, this.note, this.tools), this.bar, this.reasons);
    this.refused = [];
  }

  show(text, share) {
    this.note.textContent = text;
    this.bar.value = share;
  }

  fail(message) {
    this.bar.hidden = true;
    this.tools.replaceChildren();
    this.note.replaceChildren(h("span", { class: "error" }, message));
  }

  async follow(id, base = 0) {
    this.tools.replaceChildren(h("button", { class: "secondary", type: "button", onclick: () => run(() => post(`/v1/jobs/${encodeURIComponent(id)}/cancel`)) }, "Cancel"));
    for (;;) {
      const response = await send(`/v1/jobs/${encodeURIComponent(id)}/events`);
      for await (const { event, data } of events(response)) {
        if (event === "progress") {
          const eta = data.eta_s > 1 ? ` · about ${duration(data.eta_s * 1000)} left` : "";
          this.show(`${data.finished_count} of ${plural(data.file_count, "file")}${eta}`, base + data.progress * (1 - base));
        } else if (event === "summary") {
          this.finish(data.job);
          return;
        } else if (event === "error") {
          throw new RequestError(data.error.message, 0);
        }
      }
      // The stream ended before the job did (the server restarted): ask again.
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
  }

  finish(job) {
    this.bar.hidden = true;
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
    this.reasons.replaceChildren(...problems.slice(0, 50).map((file) => h("li", {}, h("b", {}, baseName(file.path)), " ", h("span", { class: "why" }, file.reason ?? file.outcome))),
      ...(problems.length > 50 ? [h("li", { class: "note" }, `and ${problems.length - 50} more`)] : []));
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
