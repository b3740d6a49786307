"use strict";
// Tables that sort and filter, and learning curves below the row that is clicked. Nothing is loaded, nothing is sent.
const stored = JSON.parse(document.getElementById("curves").textContent);
const TOKEN = /"[^"]*"|<=|>=|!=|==|[<>=~≤≥≠,&]|[^\s<>=!~≤≥≠,&"]+/g;
const OPERATORS = {"==": "=", "≤": "<=", "≥": ">=", "≠": "!="};
const isOperator = token => /^(<=|>=|!=|==|[<>=~≤≥≠])$/.test(token);
const isBreak = token => /^([,&]|and)$/i.test(token);
const unquoted = token => token.replace(/^"(.*)"$/, "$1");
const asNumber = text => /^[-+]?[\d.]+(e[-+]?\d+)?%?$/i.test(text)
  ? (text.endsWith("%") ? Number(text.slice(0, -1)) / 100 : Number(text)) : NaN;

// -- filters --------------------------------------------------------------------------------------------

function columnOf(words, names, leading) {
  // By its whole name, by the end of it as in accuracy for validation_accuracy, or by a part of it.
  const text = words.map(unquoted).join(" ").toLowerCase();
  const ends = name => [".", "_", " "].some(mark => name.endsWith(mark + text));
  for (const fits of [name => name === text, ends, name => text.length > 1 && name.includes(text)]) {
    const found = names.flatMap((name, place) => (fits(name) ? [place] : []));
    if (found.length) return found.includes(leading) ? leading : found[0];
  }
  return -1;
}

function parsed(text, names, leading) {
  // Comparisons, as in rate < 0.1, and words between them: of what stands between two operators, the first part is a
  // value, and the longest last part that names a column belongs to the second one.
  const tokens = text.match(TOKEN) ?? [], words = [], comparisons = [], parts = [[]], operators = [];
  for (const token of tokens) {
    if (isOperator(token)) { operators.push(OPERATORS[token] ?? token); parts.push([]); } else parts.at(-1).push(token);
  }
  parts.forEach((part, place) => {
    const last = place === parts.length - 1;
    let end = part.length, column = leading;
    if (!last) {
      let start = Math.max(part.findLastIndex(isBreak) + 1, place ? Math.min(1, part.length) : 0);
      const wanted = part.slice(start);
      while (start < end && (column = columnOf(part.slice(start, end), names, leading)) < 0) start += 1;
      if (column < 0) throw Error(wanted.length ? `no column is named ${wanted.join(" ")}` : "a comparison needs a column");
      end = start;
    }
    let begin = 0;
    if (place) {
      const stop = part.slice(0, end).findIndex(isBreak), all = part.slice(0, stop < 0 ? end : stop);
      begin = Number.isNaN(asNumber(all[0] ?? "")) ? all.length : 1;
      if (!begin) throw Error(`${names[comparisons.at(-1).column]} ${operators[place - 1]} which value?`);
      comparisons.at(-1).value = all.slice(0, begin).map(unquoted).join(" ");
    }
    words.push(...part.slice(begin, end).filter(token => !isBreak(token)).map(unquoted));
    if (!last) comparisons.push({column, operator: operators[place]});
  });
  return {words, comparisons};
}

function compares({column, operator, value}, cells) {
  const cell = cells[column], number = asNumber(value), text = value.toLowerCase();
  const same = cell.text === text || cell.number === number;
  switch (operator) {
    case "=": return same;
    case "!=": return !same;
    case "~": return cell.text.includes(text);
    case "<": return cell.number < number;
    case ">": return cell.number > number;
    case "<=": return cell.number <= number;
    default: return cell.number >= number;
  }
}

function holds(word, cells) {
  // A number is that number; a word begins a word of the row, so that ReLU is not found in LeakyReLU.
  const number = asNumber(word), text = word.toLowerCase();
  if (!Number.isNaN(number)) return cells.some(cell => cell.number === number || cell.text === text);
  if (/[^\p{L}\p{N}.+]/u.test(text)) return cells.some(cell => cell.text.includes(text));
  return cells.some(cell => cell.words.some(own => own.startsWith(text)));
}

// -- tables ---------------------------------------------------------------------------------------------

function prepare(table) {
  const body = table.tBodies[0], heads = [...table.tHead.rows[0].cells], given = [...body.rows];
  const frame = table.parentElement, filter = document.getElementById(`${table.id}-filter`);
  const status = document.getElementById(`${table.id}-shown`), noun = table.dataset.noun;
  const names = heads.map(head => head.textContent.trim()), lower = names.map(name => name.toLowerCase());
  const leading = names.indexOf(table.dataset.metric);
  const numbers = heads.map(head => head.dataset.kind === "number");
  let cells = null;
  const read = row => [...row.cells].map((cell, place) => {
    const text = cell.textContent.toLowerCase(), exact = cell.dataset.v ?? cell.textContent;
    const number = numbers[place] && exact !== "" && exact !== "–" ? Number(exact) : NaN;
    return {text, number, words: text.split(/[^\p{L}\p{N}.+]+/u)};
  });
  const all = () => (cells ??= new Map(given.map(row => [row, read(row)])));

  const sticky = document.head.appendChild(document.createElement("style"));
  const stick = () => {
    let left = 0, rules = "";
    for (const [place, head] of heads.entries()) {
      if (!("sticky" in head.dataset) || (place && left + head.offsetWidth > frame.clientWidth / 2)) break;
      const cell = `tr:not(.detail) > :nth-child(${place + 1})`;
      rules += `#${table.id} ${cell} { position: sticky; left: ${left}px; z-index: 1; }`;
      rules += `#${table.id} thead ${cell} { z-index: 3; }`;
      left += head.offsetWidth;
    }
    sticky.textContent = rules;
  };

  const close = () => {
    table.querySelector("tr.detail")?.remove();
    table.querySelector("[aria-expanded=true]")?.setAttribute("aria-expanded", "false");
  };
  const open = row => {
    const button = row.querySelector("button"), was = button.getAttribute("aria-expanded") === "true";
    close();
    if (was) return;
    const detail = document.createElement("tr"), cell = detail.insertCell();
    detail.className = "detail";
    detail.id = `${table.id}-detail`;
    cell.colSpan = heads.length;
    const box = cell.appendChild(curves(row, noun, frame.clientWidth));
    box.style.width = `${frame.clientWidth}px`;
    row.after(detail);
    button.setAttribute("aria-expanded", "true");
    button.setAttribute("aria-controls", detail.id);
  };
  body.addEventListener("click", event => {
    const row = event.target.closest("tr");
    if (row && !row.classList.contains("detail") && !String(getSelection())) open(row);
  });
  frame.addEventListener("keydown", event => { if (event.key === "Escape") close(); });

  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
    const down = head.getAttribute("aria-sort") === "ascending", numeric = numbers[column];
    close();
    heads.forEach(other => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const rows = given.map(row => [numeric ? all().get(row)[column].number : row.cells[column].textContent, row]);
    // What has no value stays last, in both directions; equal rows keep the order they came in.
    const none = value => (numeric ? Number.isNaN(value) : value === "");
    rows.sort(([a], [b]) => (none(a) || none(b) ? none(a) - none(b)
      : (numeric ? (a > b) - (a < b) : a.localeCompare(b, undefined, {numeric: true})) * (down ? -1 : 1)));
    body.append(...rows.map(([, row]) => row));
  }));

  const search = () => {
    close();
    let found = {words: [], comparisons: []}, said = "";
    try { found = parsed(filter.value, lower, leading); } catch (error) { said = error.message; }
    filter.setAttribute("aria-invalid", String(said !== ""));
    let count = 0;
    for (const row of given) {
      const own = found.words.length || found.comparisons.length ? all().get(row) : [];
      row.hidden = !(found.words.every(word => holds(word, own)) && found.comparisons.every(c => compares(c, own)));
      count += !row.hidden;
    }
    const understood = found.comparisons.map(c => `${names[c.column]} ${c.operator} ${c.value}`).join(", ");
    status.textContent = said || `${count} of ${given.length} ${noun}s${understood && `: ${understood}`}`;
    stick();
  };
  filter.addEventListener("input", search);
  addEventListener("resize", () => { close(); stick(); });
  search();
}

// -- learning curves ------------------------------------------------------------------------------------

const template = document.createElement("template");
template.innerHTML = "<svg></svg>";
const NAMESPACE = template.content.firstChild.namespaceURI;  // an address, which the page need not spell out
const element = (name, attributes, text = "") => {
  const made = document.createElementNS(NAMESPACE, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.textContent = text;
  return made;
};
const short = number => String(Number(number.toPrecision(3)));

function curves(row, noun, room) {
  const box = document.createElement("div"), label = row.querySelector("button").textContent;
  const rows = (row.dataset.rows ?? label).split(" "), there = rows.filter(number => number in stored.rows);
  box.className = "curves";
  const words = box.appendChild(document.createElement("p"));
  const runs = rows.length > 1 ? `, ${there.length} of its ${rows.length} runs (rows ${rows.join(", ")})` : "";
  if (!there.length) {
    words.textContent = `There are no curves of ${noun} ${label} in this page.`;
    return box;
  }
  const best = rows.length > 1 ? "" : `; the dot is its best epoch, ${stored.rows[there[0]].best + 1}`;
  words.textContent = `Learning curves of ${noun} ${label}${runs}${best}.`;
  const stems = [...new Set(stored.names.map(name => name.replace(/^(train|validation)_/, "")))];
  for (const stem of stems) {
    const drawing = chart(stem, there.map(number => stored.rows[number]), `${noun} ${label}`, room);
    if (drawing) box.append(drawing);
  }
  return box;
}

function chart(stem, runs, whose, room) {
  const W = Math.min(460, room - 30), H = 230, L = 58, R = 12, T = 26, B = 38, lines = [];
  for (const run of runs) {
    stored.names.forEach((name, place) => {
      const values = run.values[place];
      if (!values || name.replace(/^(train|validation)_/, "") !== stem) return;
      // Of long runs some epochs are kept, at equal distances.
      const epoch = k => (values.length === run.epochs ? k : Math.round(k * (run.epochs - 1) / (values.length - 1)));
      const points = values.flatMap((value, k) => (value === null ? [] : [[epoch(k) + 1, value]]));
      lines.push({name, run, points, kind: name.startsWith("train_") ? "train" : "held"});
    });
  }
  const every = lines.flatMap(line => line.points), values = every.map(point => point[1]);
  if (!every.length) return null;
  let low = Math.min(...values), high = Math.max(...values);
  const log = low > 0 && high >= 5 * low && /loss|objective|norm/.test(stem), scale = log ? Math.log : value => value;
  if (low === high) [low, high] = log ? [low / 2, high * 2] : [low - 0.5, high + 0.5];
  const last = Math.max(...every.map(point => point[0]), 2);
  const x = epoch => L + (W - L - R) * (epoch - 1) / (last - 1);
  const y = value => H - B - (H - B - T) * (scale(value) - scale(low)) / (scale(high) - scale(low));

  const held = lines.find(line => line.kind === "held" && line.points.length) ?? lines.find(line => line.points.length);
  const said = `${held.name} of ${whose}: from ${short(held.points[0][1])} to ${short(held.points.at(-1)[1])}`
    + ` in ${held.run.epochs} epochs${log ? ", logarithmic axis" : ""}`;
  const svg = element("svg", {viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": said});
  svg.append(element("title", {}, said));
  for (let k = 0; k <= 4; k += 1) {
    const value = log ? low * (high / low) ** (k / 4) : low + (high - low) * k / 4;
    svg.append(element("line", {x1: L, x2: W - R, y1: y(value), y2: y(value)}));
    svg.append(element("text", {x: L - 6, y: y(value) + 4, "text-anchor": "end"}, short(value)));
  }
  const steps = [...new Set([0, 1, 2, 3, 4].map(k => 1 + Math.round((last - 1) * k / 4)))];
  for (const step of steps) svg.append(element("text", {x: x(step), y: H - B + 17, "text-anchor": "middle"}, step));
  svg.append(element("text", {x: (L + W - R) / 2, y: H - 4, "text-anchor": "middle"}, "epoch"));
  let place = L;
  for (const [name, kind] of new Map(lines.map(line => [line.name, line.kind]))) {
    svg.append(element("text", {x: place, y: 14, class: kind}, `${kind === "train" ? "╌ " : "─ "}${name}`));
    place += 7.2 * name.length + 34;
  }
  for (const line of lines) {
    const points = line.points.map(([epoch, value]) => `${x(epoch).toFixed(1)},${y(value).toFixed(1)}`).join(" ");
    const faint = runs.length > 1 ? 0.7 : 1;
    svg.append(element("polyline", {points, class: line.kind, opacity: faint, "data-name": line.name}));
    const best = line.points.find(([epoch]) => epoch >= line.run.best + 1);
    if (best && runs.length === 1 && line.run.best >= 0) {
      svg.append(element("circle", {cx: x(best[0]), cy: y(best[1]), r: 3.5, class: line.kind}));
    }
  }
  return svg;
}

document.querySelectorAll("table[data-noun]").forEach(prepare);
