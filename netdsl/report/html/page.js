"use strict";
(() => {
  const DATA = JSON.parse(document.getElementById("data").textContent);
  const NODES = DATA.nodes;
  const BLOCKS = DATA.blocks;
  const SVG = "http://www.w3.org/2000/svg";
  const CARD = { width: 252, tall: 44, low: 27 };
  const GAP = { across: 22, way: 14, flow: 32, border: 14, inset: 16, title: 26 };
  const SWEEPS = 24;
  const SETTLING = 8;
  const OPEN_AT_MOST = 64;
  const MEASURES = [["params", "parameters"], ["macs", "MACs"], ["bytes", "memory"]];
  const FAMILY = {
    conv: "conv", deconv: "conv", local: "conv", maxpool: "pool", avgpool: "pool", fc: "fc", distance: "fc", bn: "norm", lrn: "norm",
    relu: "act", leaky_relu: "act", prelu: "act", sigmoid: "act", tanh: "act", add: "join", mul: "join", concat: "join",
    softmax: "end", log_softmax: "end", cross_entropy: "end", input: "io", output: "io",
  };

  // -- blocks ---------------------------------------------------------------------------------------

  const parents = BLOCKS.map(() => null);
  const parentOfNode = NODES.map(() => 0);
  BLOCKS.forEach((block, number) => block.items.forEach(([kind, id]) => {
    if (kind === "block") parents[id] = number;
    if (kind === "node") parentOfNode[id] = number;
  }));

  /** Sums over a block, its layers, and the nodes whose values leave it. Children come after their parents. */
  const sums = BLOCKS.map(() => null);
  for (let number = BLOCKS.length - 1; number >= 0; number--) {
    const sum = { params: 0, macs: 0, flops: 0, bytes: 0, layers: 0, leaving: [], last: null };
    for (const [kind, id] of BLOCKS[number].items) {
      if (kind === "out") sum.leaving.push(id);
      const part = kind === "node" ? NODES[id] : kind === "block" ? sums[id] : null;
      if (!part) continue;
      for (const name of ["params", "macs", "flops", "bytes"]) sum[name] += part[name] || 0;
      sum.layers += kind === "node" ? 1 : part.layers;
      const last = kind === "node" ? id : part.last;
      if (NODES[last].field && (sum.last === null || last > sum.last)) sum.last = last;
      if (sum.last === null) sum.last = last;
    }
    sums[number] = sum;
  }

  const opened = new Set([0]);
  openLevels();

  /** Open blocks level by level while what is seen stays on a screen or three. */
  function openLevels() {
    let level = [0];
    let seen = partCount(0);
    while (level.length) {
      const next = level.flatMap((number) => BLOCKS[number].items.filter(([kind]) => kind === "block").map(([, id]) => id));
      const more = next.reduce((count, id) => count + partCount(id) - 1, 0);
      if (!next.length || seen + more > OPEN_AT_MOST) return;
      next.forEach((id) => opened.add(id));
      seen += more;
      level = next;
    }
  }

  function partCount(number) {
    return BLOCKS[number].items.filter(([kind]) => kind === "node" || kind === "block").length;
  }

  // -- places ---------------------------------------------------------------------------------------

  /** Size of one block and the place of each of its items: {width, height, boxes: [{x, y, w, h, inner}]}. */
  function place(number) {
    const block = BLOCKS[number];
    const boxes = block.items.map((item) => sized(item));
    const links = linksOf(block, boxes);
    across(block.ranks, boxes, links);
    const height = down(block, boxes);
    const left = Math.min(...boxes.map((box) => box.x - box.w / 2));
    const right = Math.max(...boxes.map((box) => box.x + box.w / 2));
    for (const box of boxes) box.x -= left;
    return { width: right - left, height, boxes };
  }

  function sized([kind, id]) {
    if (kind === "node") return { x: 0, y: 0, w: CARD.width, h: isLow(NODES[id]) ? CARD.low : CARD.tall };
    if (kind !== "block") return { x: 0, y: 0, w: 2, h: 0, thin: true };
    if (!opened.has(id)) return { x: 0, y: 0, w: CARD.width, h: CARD.tall + 4 };
    const inner = place(id);
    const width = Math.max(inner.width, 150) + 2 * GAP.inset;
    const offset = (width - inner.width) / 2;
    return { x: 0, y: 0, w: width, h: inner.height + GAP.title + 6, inner, offset };
  }

  function isLow(node) {
    return !node.about && !node.macs && node.op !== "input" && node.op !== "output";
  }

  /** Where the value of node v enters or leaves a box, from its middle. */
  function port(block, boxes, item, kind, v) {
    const box = boxes[item];
    if (!box.inner) return 0;
    const inside = BLOCKS[block.items[item][1]].items;
    const found = inside.findIndex(([k, id]) => k === kind && id === v);
    return found < 0 ? 0 : box.offset + box.inner.boxes[found].x - box.w / 2;
  }

  function linksOf(block, boxes) {
    for (const box of boxes) box.spine = 0;
    const links = { above: boxes.map(() => []), below: boxes.map(() => []) };
    const known = new Set();
    for (const [source, target, v, route] of block.edges) {
      const path = [source, ...route, target];
      for (let step = 1; step < path.length; step++) {
        const [a, b] = [path[step - 1], path[step]];
        const key = `${a} ${b} ${v}`;
        if (known.has(key)) continue;
        known.add(key);
        const [leaves, enters] = [port(block, boxes, a, "out", v), port(block, boxes, b, "in", v)];
        const shift = leaves - enters;
        if (!links.above[b].length) boxes[b].spine = -enters;
        if (!links.below[a].length && !links.above[a].length) boxes[a].spine = -leaves;
        const weight = boxes[a].thin && boxes[b].thin ? 16 : boxes[a].thin || boxes[b].thin ? 2 : 1;
        links.above[b].push([a, shift, weight]);
        links.below[a].push([b, -shift, weight]);
      }
    }
    return links;
  }

  /** Places across: near the neighbours', in sweeps; where all paths meet lies the spine, at 0. */
  function across(ranks, boxes, links) {
    for (const rank of ranks) {
      let x = 0;
      rank.forEach((item, position) => {
        x += position ? distance(boxes[rank[position - 1]], boxes[item]) : 0;
        boxes[item].x = x;
      });
      const middle = x / 2;
      rank.forEach((item) => { boxes[item].x -= middle; });
    }
    for (let sweep = 0; sweep < SWEEPS; sweep++) {
      const order = sweep % 2 ? [...ranks].reverse() : ranks;
      const sides = sweep < SWEEPS - SETTLING ? [sweep % 2 ? links.below : links.above] : [links.above, links.below];
      for (const rank of order) {
        if (rank.length > 1) settle(rank, boxes, sides);
        else boxes[rank[0]].x = boxes[rank[0]].spine;
      }
    }
    straighten(ranks, boxes, links);
  }

  /** Put chains (one reader each, which reads nothing else) on one line, as far as their neighbours let them. */
  function straighten(ranks, boxes, links) {
    const sides = new Map();
    for (const rank of ranks) {
      rank.forEach((item, position) => sides.set(item, { left: rank[position - 1], right: rank[position + 1], alone: rank.length === 1 }));
    }
    const chains = ranks.flat().filter((item) => !follows(item, links)).map((item) => chainFrom(item, links));
    for (let pass = 0; pass < 3; pass++) chains.forEach((chain) => alignChain(chain, boxes, sides));
  }

  function follows(item, links) {
    const above = links.above[item];
    return above.length === 1 && links.below[above[0][0]].length === 1;
  }

  /** Members [item, place relative to the first]. */
  function chainFrom(first, links) {
    const chain = [[first, 0]];
    for (let [item, offset] = chain[0]; links.below[item].length === 1;) {
      const [next, shift] = links.below[item][0];
      if (!follows(next, links)) break;
      offset -= shift;
      chain.push([next, offset]);
      item = next;
    }
    return chain;
  }

  function alignChain(chain, boxes, sides) {
    let [low, high, sum] = [-Infinity, Infinity, 0];
    let fixed = null;
    for (const [item, offset] of chain) {
      const { left, right, alone } = sides.get(item);
      if (left !== undefined) low = Math.max(low, boxes[left].x + distance(boxes[left], boxes[item]) - offset);
      if (right !== undefined) high = Math.min(high, boxes[right].x - distance(boxes[item], boxes[right]) - offset);
      if (alone && fixed === null) fixed = boxes[item].x - offset;
      sum += boxes[item].x - offset;
    }
    if (low > high) {
      const half = chain.length >> 1;
      if (half) [chain.slice(0, half), chain.slice(half)].forEach((part) => alignChain(part, boxes, sides));
      return;
    }
    const x = Math.max(low, Math.min(high, fixed === null ? sum / chain.length : fixed));
    for (const [item, offset] of chain) boxes[item].x = x + offset;
  }

  function settle(rank, boxes, sides) {
    const wishes = [];
    const weights = [];
    for (const item of rank) {
      let sum = 0;
      let weight = 0;
      for (const side of sides) {
        for (const [other, shift, heft] of side[item]) {
          sum += heft * (boxes[other].x + shift);
          weight += heft;
        }
      }
      wishes.push(weight ? sum / weight : boxes[item].x);
      weights.push(weight || 0.1);
    }
    const gaps = rank.slice(1).map((item, position) => distance(boxes[rank[position]], boxes[item]));
    spread(wishes, gaps, weights).forEach((x, position) => { boxes[rank[position]].x = x; });
  }

  function distance(a, b) {
    return a.w / 2 + b.w / 2 + (a.thin && b.thin ? GAP.way : GAP.across);
  }

  /** Least squares under an order: neighbours that would overlap are pooled. */
  function spread(wishes, gaps, weights) {
    const offsets = [0];
    gaps.forEach((gap, position) => offsets.push(offsets[position] + gap));
    const pools = [];
    wishes.forEach((wish, position) => {
      let pool = { mean: wish - offsets[position], weight: weights[position], size: 1 };
      while (pools.length && pools[pools.length - 1].mean > pool.mean) {
        const other = pools.pop();
        const weight = pool.weight + other.weight;
        pool = { mean: (pool.mean * pool.weight + other.mean * other.weight) / weight, weight, size: pool.size + other.size };
      }
      pools.push(pool);
    });
    const means = pools.flatMap((pool) => Array(pool.size).fill(pool.mean));
    return means.map((mean, position) => mean + offsets[position]);
  }

  function down(block, boxes) {
    let y = 0;
    let bottom = 0;
    for (const rank of block.ranks) {
      const height = Math.max(...rank.map((item) => boxes[item].h));
      for (const item of rank) Object.assign(boxes[item], { y, top: y, bottom: y + height });
      bottom = y + height;
      y = bottom + (height ? GAP.flow : GAP.border);
    }
    const ends = block.items.some(([kind]) => kind === "out");
    if (ends) for (const item of block.ranks[block.ranks.length - 1]) boxes[item].y -= GAP.flow - GAP.border;
    if (ends) for (const item of block.ranks[block.ranks.length - 1]) boxes[item].top = boxes[item].bottom = boxes[item].y;
    return ends ? bottom - GAP.flow + GAP.border : bottom;
  }

  // -- drawing --------------------------------------------------------------------------------------

  const graph = document.getElementById("graph");
  let cards = [];
  let edges = [];
  let current = `n${Math.max(0, NODES.findIndex((node) => node.field))}`;
  let scale = 0;

  function make(tag, attributes, parent, text) {
    const element = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    if (text !== undefined) element.textContent = text;
    if (parent) parent.appendChild(element);
    return element;
  }

  function draw() {
    cards = [];
    edges = [];
    const whole = place(0);
    const fresh = document.createDocumentFragment();
    drawBlock(0, whole, 0, 0, fresh);
    graph.replaceChildren(fresh);
    const [width, height] = [whole.width + 60, whole.height + 8];
    graph.setAttribute("viewBox", `-4 -4 ${width} ${height}`);
    graph.dataset.width = width;
    graph.dataset.height = height;
    if (!scale) scale = Math.max(0.45, Math.min(1.1, (document.getElementById("stage").clientWidth - 48) / width));
    zoom(1);
    drawBars();
    current = inSight(current);
    choose(current, false);
  }

  /** The card itself, or that of the innermost block around it in sight. */
  function inSight(key) {
    let [kind, id] = [key[0], Number(key.slice(1))];
    while (!cards.some((found) => found.key === kind + id)) [kind, id] = ["b", kind === "n" ? parentOfNode[id] : parents[id]];
    return kind + id;
  }

  function zoom(factor) {
    scale = Math.max(0.1, Math.min(4, scale * factor));
    graph.setAttribute("width", graph.dataset.width * scale);
    graph.setAttribute("height", graph.dataset.height * scale);
  }

  function drawBlock(number, layout, x, y, parent) {
    const block = BLOCKS[number];
    const { boxes } = layout;
    const labelled = new Set();
    const lines = make("g", { "aria-hidden": "true" }, parent);
    const words = make("g", { "aria-hidden": "true" }, parent);
    for (const [source, target, v, route] of block.edges) {
      const from = port(block, boxes, source, "out", v);
      const to = port(block, boxes, target, "in", v);
      const targetKey = keyOf(block.items[target]);
      drawEdge(boxes, source, target, route, from, to, v, targetKey, x, y, lines);
      const key = `${source} ${v}`;
      if (labelled.has(key) || block.items[source][0] === "in" || block.items[target][0] === "out") continue;
      labelled.add(key);
      const box = boxes[source];
      const flow = make("text", { class: "flow", x: x + box.x + from + 6, y: y + box.y + box.h + 13 }, words, sizes(NODES[v].shape));
      flow.addEventListener("pointerenter", () => followValue(v));
    }
    block.items.forEach(([kind, id], item) => {
      const box = boxes[item];
      const at = { x: x + box.x - box.w / 2, y: y + box.y, w: box.w, h: box.h, block: number };
      if (kind === "node") drawNode(id, at, parent);
      if (kind === "block" && !box.inner) drawFolded(id, at, parent);
      if (kind === "block" && box.inner) {
        drawOpen(id, at, parent);
        drawBlock(id, box.inner, at.x + box.offset, at.y + GAP.title, parent);
      }
    });
  }

  function keyOf([kind, id]) {
    return kind === "node" ? `n${id}` : kind === "block" ? `b${id}` : "";
  }

  function drawEdge(boxes, source, target, route, from, to, v, targetKey, x, y, parent) {
    const start = boxes[source];
    const end = boxes[target];
    let [px, py] = [x + start.x + from, y + start.y + start.h];
    let path = `M${round(px)} ${round(py)}`;
    const line = (qy) => { if (qy > py + 0.5) { path += `V${round(qy)}`; py = qy; } };
    const bend = (qx, qy) => {
      const middle = round((py + qy) / 2);
      path += Math.abs(qx - px) < 0.5 ? `V${round(qy)}` : `C${round(px)} ${middle} ${round(qx)} ${middle} ${round(qx)} ${round(qy)}`;
      [px, py] = [qx, qy];
    };
    if (route.length || boxes[target].top > start.bottom) line(y + start.bottom);
    for (const way of route) {
      bend(x + boxes[way].x, y + boxes[way].top);
      line(y + boxes[way].bottom);
    }
    bend(x + end.x + to, y + end.y - (end.thin ? 0 : 5));
    const edge = { v, targetKey, parts: [make("path", { class: "edge", d: path }, parent)] };
    if (!end.thin) edge.parts.push(make("path", { class: "tip", d: `M${round(px - 4)} ${round(py - 1)}h8l-4 6z` }, parent));
    edges.push(edge);
    const hit = make("path", { class: "hit", d: path }, parent);
    make("title", {}, hit, flowWords(v));
    hit.addEventListener("pointerenter", () => followValue(v));
  }

  function flowWords(v) {
    const elements = NODES[v].shape.reduce((product, length) => product * length, 1);
    return `${NODES[v].name}: ${sizes(NODES[v].shape)}, ${bytes(4 * elements)} a sample`;
  }

  /** The arrows that carry a value, and what is said of the layer that gives it. */
  function followValue(v) {
    details.replaceChildren();
    describeNode(NODES[v]);
    drawField(NODES[v]);
    for (const edge of edges) {
      for (const part of edge.parts) part.classList.toggle("hot", edge.v === v);
    }
  }

  function round(value) {
    return Math.round(value * 10) / 10;
  }

  function card(key, at, label, foldable, parent) {
    const classes = `card${foldable ? " foldable" : ""}`;
    const element = make("g", { class: classes, tabindex: "-1", role: foldable ? "button" : "img", "aria-label": label }, parent);
    const found = { key, element, ...at, id: Number(key.slice(1)), isBlock: key[0] === "b" };
    element.addEventListener("pointerenter", () => choose(key, false));
    element.addEventListener("focus", () => choose(key, false));
    element.addEventListener("click", () => { choose(key, true); if (foldable) toggle(found.id, key); });
    cards.push(found);
    return [element, found];
  }

  function drawNode(id, at, parent) {
    const node = NODES[id];
    const [element, found] = card(`n${id}`, at, spoken(node), false, parent);
    const low = at.h === CARD.low;
    make("rect", { class: "box", x: at.x, y: at.y, width: at.w, height: at.h, rx: 7 }, element);
    make("rect", { class: FAMILY[node.op] || "shape", x: at.x + 5, y: at.y + 5, width: 4, height: at.h - 10, rx: 2 }, element);
    const prefix = BLOCKS[at.block].name;
    const own = prefix && node.name.startsWith(`${prefix}.`) ? node.name.slice(prefix.length + 1) : node.name;
    make("text", { class: "name", x: at.x + 17, y: at.y + 18 }, element, cut(own, 22));
    if (!low) make("text", { class: "about", x: at.x + 17, y: at.y + 34 }, element, cut(`${node.op} ${node.about}`, 28));
    if (node.op !== "input" && node.op !== "output") found.values = node;
  }

  function drawFolded(id, at, parent) {
    const sum = sums[id];
    const [element, found] = card(`b${id}`, at, `${spokenBlock(id)}, folded`, true, parent);
    element.setAttribute("aria-expanded", "false");
    make("rect", { class: "under", x: at.x + 5, y: at.y + 4, width: at.w - 10, height: at.h, rx: 7 }, element);
    make("rect", { class: "box", x: at.x, y: at.y, width: at.w, height: at.h - 4, rx: 7 }, element);
    make("rect", { class: "group", x: at.x + 5, y: at.y + 5, width: 4, height: at.h - 14, rx: 2 }, element);
    make("text", { class: "name", x: at.x + 17, y: at.y + 18 }, element, cut(`▸ ${ownName(id)}`, 22));
    make("text", { class: "about", x: at.x + 17, y: at.y + 34 }, element, `${sum.layers} layers`);
    found.values = sum;
  }

  function drawOpen(id, at, parent) {
    const head = { ...at, h: GAP.title };
    const [element] = card(`b${id}`, head, `${spokenBlock(id)}, open`, true, parent);
    element.classList.add("open");
    element.setAttribute("aria-expanded", "true");
    make("rect", { class: "open-box", x: at.x, y: at.y, width: at.w, height: at.h, rx: 10 }, element);
    make("text", { class: "block-name", x: at.x + 10, y: at.y + 17 }, element, cut(`▾ ${ownName(id)}`, Math.floor(at.w / 8)));
  }

  function ownName(id) {
    const around = BLOCKS[parents[id]].name;
    const name = BLOCKS[id].name;
    return around && name.startsWith(`${around}.`) ? name.slice(around.length + 1) : name;
  }

  /** Three bars on each card, each measure as a share of the largest among the cards in sight. */
  function drawBars() {
    const valued = cards.filter((found) => found.values);
    for (const [position, [name, words]] of MEASURES.entries()) {
      const most = Math.max(1, ...valued.map((found) => found.values[name]));
      for (const found of valued) {
        const low = found.h === CARD.low;
        const [height, step] = low ? [3, 6] : [5, 9];
        const y = found.y + (low ? 6 : 10) + position * step;
        const x = found.x + found.w - 58;
        const track = make("rect", { class: "track", x, y, width: 48, height, rx: height / 2 }, found.element);
        make("title", {}, track, `${words}: ${amount(name, found.values[name])}`);
        const width = 48 * found.values[name] / most;
        if (width <= 0) continue;
        const bar = make("rect", { class: name, x, y, width: Math.max(1, round(width)), height, rx: Math.min(height, width) / 2 }, found.element);
        make("title", {}, bar, `${words}: ${amount(name, found.values[name])}`);
      }
    }
  }

  // -- words ----------------------------------------------------------------------------------------

  function sizes(shape) {
    return shape.length ? shape.join("×") : "1";
  }

  function cut(text, length) {
    const letters = Array.from(text);
    return letters.length > length ? `${letters.slice(0, length - 1).join("")}…` : text;
  }

  function count(value) {
    return value.toLocaleString("en-US");
  }

  function bytes(value) {
    for (const [unit, size] of [["GiB", 2 ** 30], ["MiB", 2 ** 20], ["KiB", 2 ** 10]]) {
      if (value >= size) return `${(value / size).toFixed(1)} ${unit}`;
    }
    return `${value} bytes`;
  }

  function share(value, total) {
    return total ? ` (${(100 * value / total).toFixed(value / total < 0.0995 ? 1 : 0)}%)` : "";
  }

  function amount(name, value) {
    return (name === "bytes" ? bytes(value) : count(value)) + share(value, DATA.totals[name]);
  }

  function spoken(node) {
    const words = [`${node.op} ${node.name}`, node.about, `gives ${node.shape.join(" by ") || "one number"}`];
    if (node.params) words.push(`${count(node.params)} parameters`);
    if (node.macs) words.push(`${count(node.macs)} multiply-accumulates`);
    return words.filter(Boolean).join(", ");
  }

  function spokenBlock(id) {
    return `block ${BLOCKS[id].name}, ${sums[id].layers} layers, ${count(sums[id].params)} parameters`;
  }

  // -- details --------------------------------------------------------------------------------------

  const details = document.getElementById("details");
  const fieldPanel = document.getElementById("field");
  const unit = [0.5, 0.5];

  function html(tag, parent, text, className) {
    const element = document.createElement(tag);
    if (text !== undefined) element.textContent = text;
    if (className) element.className = className;
    parent.appendChild(element);
    return element;
  }

  function rows(parent, pairs) {
    const list = html("dl", parent);
    for (const [name, value] of pairs) {
      if (value === "" || value === undefined) continue;
      html("dt", list, name);
      html("dd", list, value);
    }
  }

  function choose(key, focus) {
    const found = cards.find((item) => item.key === key);
    if (!found) return;
    for (const item of cards) {
      const chosen = item === found;
      if (chosen || item.key === current) {
        item.element.classList.toggle("chosen", chosen);
        item.element.setAttribute("tabindex", chosen ? "0" : "-1");
      }
    }
    current = key;
    const own = found.isBlock ? new Set(sums[found.id].leaving) : new Set([found.id]);
    for (const edge of edges) {
      const hot = own.has(edge.v) || edge.targetKey === key;
      for (const part of edge.parts) part.classList.toggle("hot", hot);
    }
    details.replaceChildren();
    if (found.isBlock) describeBlock(found.id); else describeNode(NODES[found.id]);
    drawField(found.isBlock ? NODES[sums[found.id].last] : NODES[found.id]);
    if (focus) {
      found.element.focus({ preventScroll: true });
      found.element.scrollIntoView({ block: "nearest", inline: "nearest" });
    }
  }

  function describeNode(node) {
    html("h2", details, node.name);
    html("p", details, node.manual ? `${node.op}: ${node.manual}` : node.op, "kind");
    const computes = node.args !== undefined;
    rows(details, [
      ["result", sizes(node.shape)],
      ["reads", (node.from || []).map((id) => `${NODES[id].name} ${sizes(NODES[id].shape)}`).join(", ")],
      ...Object.entries(node.args || {}),
      ["parameters", computes ? amount("params", node.params) + (node.shared ? ", shared with an earlier layer" : "") : ""],
      ["statistics", node.statistics ? count(node.statistics) : ""],
      ["MACs", computes ? amount("macs", node.macs) : ""],
      ["FLOPs", computes ? count(node.flops) : ""],
      ["memory", computes ? amount("bytes", node.bytes) : ""],
      ["written at", node.at],
    ]);
  }

  function describeBlock(id) {
    const sum = sums[id];
    html("h2", details, BLOCKS[id].name);
    html("p", details, `block of ${sum.layers} layers`, "kind");
    rows(details, [
      ["result", sum.leaving.map((node) => sizes(NODES[node].shape)).join(", ")],
      ["parameters", amount("params", sum.params)],
      ["MACs", amount("macs", sum.macs)],
      ["FLOPs", count(sum.flops)],
      ["memory", amount("bytes", sum.bytes)],
    ]);
  }

  /** The part of the input that one unit of ``node`` sees, drawn over it. */
  function drawField(node) {
    fieldPanel.replaceChildren();
    html("h2", fieldPanel, node.field ? `Receptive field of ${node.name}` : "Receptive field");
    if (!node.field) {
      html("p", fieldPanel, node.op === "input" ? "This is the input." : "No place in the input: every value may see all of it.");
      return;
    }
    const input = NODES[node.field.input];
    const [height, width] = input.shape.slice(1);
    const at = unit.map((part, axis) => Math.min(node.shape[axis + 1] - 1, Math.floor(part * node.shape[axis + 1])));
    const [[top, bottom], [left, right]] = node.field.axes.map(([step, low, high], axis) => [step * at[axis] + low, step * at[axis] + high + 1]);
    const margin = fieldMargin(node, height, width);
    const stroke = Math.max(height, width) / 160;
    const view = [-margin, -margin, width + 2 * margin, height + 2 * margin];
    const picture = make("svg", { viewBox: view.join(" "), role: "img", "aria-label": `Field of unit ${at.join(", ")} over ${input.name}` }, fieldPanel);
    make("rect", { class: "picture", x: 0, y: 0, width, height, "stroke-width": stroke }, picture);
    for (let part = 1; part < 8; part++) {
      make("path", { class: "grid", d: `M${width * part / 8} 0V${height}M0 ${height * part / 8}H${width}`, "stroke-width": stroke / 2 }, picture);
    }
    make("rect", { class: "seen", x: left, y: top, width: right - left, height: bottom - top, "stroke-width": stroke }, picture);
    make("circle", { class: "spot", cx: (left + right) / 2, cy: (top + bottom) / 2, r: 1.6 * stroke }, picture);
    picture.addEventListener("pointermove", (event) => {
      const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(picture.getScreenCTM().inverse());
      [point.y, point.x].forEach((pixel, axis) => {
        const [step, low, high] = node.field.axes[axis];
        const index = step ? Math.round((pixel - 0.5 - (low + high) / 2) / step) : 0;
        unit[axis] = (Math.max(0, Math.min(node.shape[axis + 1] - 1, index)) + 0.5) / node.shape[axis + 1];
      });
      drawFieldSoon(node);
    });
    const field = node.field;
    html("p", fieldPanel, `${field.size} pixels, neighbours ${field.jump} apart, the first centred at ${field.start}`);
    html("p", fieldPanel, `unit (${at.join(", ")}) of ${sizes(node.shape.slice(1))} sees rows ${top} to ${bottom - 1}, columns ${left} to ${right - 1} of ${input.name} ${sizes(input.shape)}`);
  }

  /** How far the units' fields reach over the border, up to a third of the input, and a little air. */
  function fieldMargin(node, height, width) {
    const over = node.field.axes.map(([step, low, high], axis) => {
      const end = step * (node.shape[axis + 1] - 1) + high;
      return Math.max(-low, end - (axis ? width : height) + 1, 0);
    });
    const longer = Math.max(height, width);
    return Math.min(Math.max(...over), longer / 3) + longer / 25;
  }

  let waiting = false;
  function drawFieldSoon(node) {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; drawField(node); });
  }

  function moveUnit(rowStep, columnStep) {
    const found = cards.find((item) => item.key === current);
    const node = found.isBlock ? NODES[sums[found.id].last] : NODES[found.id];
    if (!node.field) return;
    [rowStep, columnStep].forEach((step, axis) => {
      const length = node.shape[axis + 1];
      const index = Math.min(length - 1, Math.floor(unit[axis] * length)) + step;
      unit[axis] = (Math.max(0, Math.min(length - 1, index)) + 0.5) / length;
    });
    drawField(node);
  }

  // -- keys and buttons -----------------------------------------------------------------------------

  function toggle(id, key) {
    if (opened.has(id)) opened.delete(id); else opened.add(id);
    current = key;
    const stage = document.getElementById("stage");
    const before = cards.find((item) => item.key === key);
    draw();
    const after = cards.find((item) => item.key === key);
    if (before && after) stage.scrollTop += (after.y - before.y) * scale;
    choose(key, true);
  }

  /** The nearest card in a direction; sideways steps count more than forward ones. */
  function step(dx, dy) {
    const from = cards.find((item) => item.key === current);
    let best = null;
    let nearest = Infinity;
    for (const item of cards) {
      const right = item.x + item.w / 2 - from.x - from.w / 2;
      const lower = item.y + item.h / 2 - from.y - from.h / 2;
      const forward = dx * right + dy * lower;
      const aside = Math.abs(dx ? lower : right);
      if (forward < 3) continue;
      const length = forward + 2 * aside;
      if (length < nearest) [best, nearest] = [item, length];
    }
    if (best) choose(best.key, true);
  }

  const DIRECTIONS = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] };

  graph.addEventListener("keydown", (event) => {
    const found = cards.find((item) => item.key === current);
    const direction = DIRECTIONS[event.key];
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (direction && event.shiftKey) moveUnit(direction[1], direction[0]);
    else if (direction) step(...direction);
    else if (event.key === "Home") choose(cards[0].key, true);
    else if (event.key === "End") choose(cards[cards.length - 1].key, true);
    else if ((event.key === "Enter" || event.key === " ") && found.isBlock) toggle(found.id, found.key);
    else if ((event.key === "Enter" || event.key === "Escape") && found.block) {
      opened.delete(found.block);
      current = `b${found.block}`;
      draw();
      choose(current, true);
    } else return;
    event.preventDefault();
  });

  function openAll() {
    BLOCKS.forEach((_, number) => opened.add(number));
    draw();
  }

  function foldAll() {
    opened.clear();
    opened.add(0);
    draw();
  }

  const on = (id, action) => document.getElementById(id).addEventListener("click", action);
  on("open-all", openAll);
  on("fold-all", foldAll);
  on("smaller", () => zoom(1 / 1.25));
  on("larger", () => zoom(1.25));
  document.getElementById("stage").addEventListener("wheel", (event) => {
    if (!event.ctrlKey) return;
    event.preventDefault();
    zoom(event.deltaY > 0 ? 1 / 1.1 : 1.1);
  }, { passive: false });

  // -- the rest of the page -------------------------------------------------------------------------

  document.getElementById("title").textContent = DATA.net;
  document.getElementById("heading").textContent = DATA.heading;
  const legend = document.getElementById("legend");
  for (const [name, words] of MEASURES) {
    const row = html("div", legend, undefined, "measure");
    html("span", row, words);
    const bar = make("svg", { "aria-hidden": "true", preserveAspectRatio: "none", viewBox: "0 0 100 8" }, row);
    make("rect", { class: name, width: 100, height: 8, rx: 4 }, bar);
    html("span", row, name === "bytes" ? bytes(DATA.totals.bytes) : count(DATA.totals[name]));
  }
  html("p", legend, "Bars compare the cards in sight. Memory: what layers give, for one sample.");
  const peakPanel = document.getElementById("peak");
  for (const peak of DATA.peaks) {
    html("h2", peakPanel, `Memory peak of ${peak.kind}: ${bytes(peak.bytes)}`);
    html("p", peakPanel, `at batch ${peak.batch}, in step ${peak.step}`);
    for (const value of peak.values) describeHolder(peak, value);
  }

  /** A row of the peak: a button that goes to the layer, and its part of the whole as a bar. */
  function describeHolder(peak, value) {
    const known = value.node !== null;
    const row = html(known ? "button" : "div", peakPanel, undefined, "holder");
    if (known) {
      row.type = "button";
      row.title = `${value.name}${value.at ? `, written at ${value.at}` : ""}: ${count(value.bytes)} bytes`;
      row.addEventListener("click", () => choose(inSight(`n${value.node}`), true));
    }
    html("span", row, value.name);
    const bar = make("svg", { "aria-hidden": "true", preserveAspectRatio: "none", viewBox: "0 0 100 8" }, row);
    make("rect", { class: "track", width: 100, height: 8, rx: 4 }, bar);
    make("rect", { class: "bytes", width: 100 * value.bytes / peak.bytes, height: 8 }, bar);
    html("span", row, bytes(value.bytes));
  }

  const summary = document.getElementById("summary");
  html("h2", summary, "The whole network");
  for (const line of [...DATA.summary, ...DATA.warnings]) html("p", summary, line);
  draw();
})();
