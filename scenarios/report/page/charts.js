"use strict";
/* Elements and charts. Whatever comes from a run becomes text or an attribute, never markup. */

const SVG = "http://www.w3.org/2000/svg";
const DASHES = ["", "7 4", "2 3", "9 3 2 3", "5 2", "12 4"];

function put(parent, name, attributes = {}, ...children) {
  const drawn = ["svg", "g", "path", "line", "rect", "circle", "text", "title", "polygon"].includes(name);
  const element = drawn ? document.createElementNS(SVG, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null).map((child) => (child instanceof Node ? child : String(child))));
  if (parent) parent.append(element);
  return element;
}

function fixed(value, digits = 3) {
  const text = value === null || value === undefined ? "" : value.toFixed(digits);
  return /^-0\.?0*$/.test(text) ? text.slice(1) : text;
}

function short(value) {
  if (value === null || value === undefined) return "";
  const size = Math.abs(value);
  if (size >= 1e6) return `${+(value / 1e6).toPrecision(3)}M`;
  if (size >= 1e4) return `${+(value / 1e3).toPrecision(3)}k`;
  return String(+value.toPrecision(4));
}

function duration(seconds) {
  if (seconds === null || seconds === undefined) return "";
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  if (seconds < 3600) return `${(seconds / 60).toFixed(1)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

function ticks(low, high, count) {
  const span = high - low || 1;
  const raw = span / Math.max(count, 1);
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= raw * 0.999);
  const found = [];
  for (let at = Math.ceil(low / step - 1e-9) * step; at <= high + step * 1e-6; at += step) found.push(+at.toPrecision(10));
  return found;
}

function colour(place) {
  return `var(--c${place % 8})`;
}

function dash(place) {
  return DASHES[Math.floor(place / 8 + place) % DASHES.length];
}

function sample(place) {
  const drawn = put(null, "svg", { width: 30, height: 12, "aria-hidden": "true" });
  put(drawn, "line", { x1: 1, x2: 29, y1: 6, y2: 6, stroke: colour(place), "stroke-width": 3, "stroke-dasharray": dash(place) });
  return drawn;
}

/* Lines with bands. series: [{name, place, x, y, low, high}]; null where there is nothing. */
function lines(figure, series, names, limits = {}) {
  const width = Math.max(280, figure.clientWidth || 600), height = Math.min(360, Math.max(240, width * 0.5));
  const values = (key) => series.flatMap((one) => one[key] || []).filter((value) => value !== null);
  const ys = [...values("y"), ...values("low"), ...values("high")];
  const x = limits.x || [Math.min(...values("x")), Math.max(...values("x"))];
  let y = limits.y || [Math.min(...ys), Math.max(...ys)];
  if (y[0] === y[1]) y = [y[0] - 0.5, y[1] + 0.5];
  const yticks = ticks(y[0], y[1], 5);
  const box = { left: 14 + 7 * Math.max(...yticks.map((at) => short(at).length)), right: width - 16, top: 26, bottom: height - 44 };
  const across = (at) => box.left + ((at - x[0]) / (x[1] - x[0] || 1)) * (box.right - box.left);
  const up = (at) => box.bottom - ((at - y[0]) / (y[1] - y[0])) * (box.bottom - box.top);
  const told = `${names.title}: ${series.map((one) => one.name).join(", ") || "nothing to show"}`;
  const svg = put(figure, "svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": told });
  for (const at of yticks) {
    put(svg, "line", { class: "grid", x1: box.left, x2: box.right, y1: up(at), y2: up(at) });
    put(svg, "text", { class: "tick", x: box.left - 6, y: up(at) + 4, "text-anchor": "end" }, short(at));
  }
  for (const at of ticks(x[0], x[1], Math.floor(width / 110))) {
    put(svg, "line", { class: "grid", x1: across(at), x2: across(at), y1: box.bottom, y2: box.bottom + 5 });
    put(svg, "text", { class: "tick", x: across(at), y: box.bottom + 20, "text-anchor": "middle" }, short(at));
  }
  put(svg, "text", { x: box.left, y: 14 }, names.y);
  put(svg, "text", { x: (box.left + box.right) / 2, y: height - 6, "text-anchor": "middle" }, names.x);
  const known = (one, key) => one.x.map((at, k) => [at, one[key][k]]).filter((point) => point[1] !== null);
  const path = (points) => points.map((point) => `${across(point[0]).toFixed(1)},${up(point[1]).toFixed(1)}`);
  for (const one of series) {
    if (one.low && one.low.some((value) => value !== null)) {
      const round = [...path(known(one, "high")), ...path(known(one, "low")).reverse()];
      put(svg, "path", { d: `M${round.join("L")}Z`, fill: colour(one.place), opacity: 0.16 });
    }
  }
  for (const one of series) {
    const way = path(known(one, "y"));
    if (!way.length) continue;
    const line = put(svg, "path", { d: `M${way.join("L")}`, fill: "none", stroke: colour(one.place), "stroke-width": 2.5,
      "stroke-dasharray": dash(one.place), "data-series": one.name });
    put(line, "title", {}, one.name);
  }
}

/* An interval as a bar with its middle marked, between the ends of the scale. */
function bar(score, low, high, scale) {
  const width = 150, at = (value) => 4 + ((value - scale[0]) / (scale[1] - scale[0] || 1)) * (width - 8);
  const svg = put(null, "svg", { width, height: 22, "aria-hidden": "true" });
  put(svg, "line", { class: "grid", x1: 4, x2: width - 4, y1: 11, y2: 11 });
  for (const end of [0, 1]) if (end >= scale[0] && end <= scale[1]) put(svg, "line", { class: "grid", x1: at(end), x2: at(end), y1: 2, y2: 20 });
  if (low !== null) put(svg, "rect", { x: at(low), y: 6, width: Math.max(1, at(high) - at(low)), height: 10, fill: "var(--accent)", opacity: 0.35 });
  put(svg, "line", { x1: at(score), x2: at(score), y1: 3, y2: 19, stroke: "var(--accent)", "stroke-width": 3 });
  return svg;
}

/* Box, whiskers and every run, a row each. rows: [{name, place, scores, percentiles}] */
function boxes(figure, rows) {
  const width = Math.max(280, figure.clientWidth || 600), narrow = width < 560, row = narrow ? 52 : 36;
  const left = narrow ? 12 : 230, height = rows.length * row + 40;
  const all = rows.flatMap((one) => one.scores);
  const low = Math.min(0, ...all), high = Math.max(1, ...all);
  const at = (value) => left + ((value - low) / (high - low)) * (width - 16 - left);
  const told = `Spread of scores: ${rows.map((one) => `${one.name}, median ${fixed(one.percentiles[2])}`).join("; ")}`;
  const svg = put(figure, "svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": told });
  for (const tick of ticks(low, high, Math.floor((width - left) / 90))) {
    put(svg, "line", { class: "grid", x1: at(tick), x2: at(tick), y1: 0, y2: height - 34 });
    put(svg, "text", { class: "tick", x: at(tick), y: height - 18, "text-anchor": "middle" }, short(tick));
  }
  put(svg, "text", { x: (left + width) / 2, y: height - 3, "text-anchor": "middle" }, "score");
  rows.forEach((one, k) => {
    const y = k * row + (narrow ? 34 : 18), [p5, p25, p50, p75, p95] = one.percentiles.map(at);
    const name = one.name.length > 32 ? `${one.name.slice(0, 31)}…` : one.name;
    put(svg, "text", narrow ? { x: left, y: y - 14 } : { x: left - 12, y: y + 4, "text-anchor": "end" }, name);
    put(svg, "line", { x1: p5, x2: p95, y1: y, y2: y, stroke: colour(one.place), "stroke-width": 2 });
    put(svg, "rect", { x: p25, y: y - 8, width: Math.max(1, p75 - p25), height: 16, fill: colour(one.place), opacity: 0.3 });
    put(svg, "line", { x1: p50, x2: p50, y1: y - 9, y2: y + 9, stroke: colour(one.place), "stroke-width": 3 });
    for (const score of one.scores) put(svg, "circle", { cx: at(score), cy: y, r: 3.5, fill: "none", stroke: "var(--ink)" });
  });
}

/* A polygon for each agent, from 0 in the centre to 1 at the rim. series: [{name, place, values}], null where unknown. */
function radar(figure, corners, series) {
  const width = Math.max(280, Math.min(560, figure.clientWidth || 560)), height = width * 0.82;
  const middle = [width / 2, height / 2], radius = Math.min(width / 2 - 112, height / 2 - 26);
  const point = (k, value) => {
    const angle = (2 * Math.PI * k) / corners.length - Math.PI / 2, size = radius * Math.max(0, Math.min(1, value));
    return [middle[0] + size * Math.cos(angle), middle[1] + size * Math.sin(angle)];
  };
  const ring = (values) => values.map((value, k) => point(k, value).map((at) => at.toFixed(1)).join(",")).join(" ");
  const svg = put(figure, "svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img",
    "aria-label": `Capabilities of ${series.map((one) => one.name).join(", ")}; the numbers stand in the table below` });
  for (const size of [0.25, 0.5, 0.75, 1]) put(svg, "polygon", { class: "grid", points: ring(corners.map(() => size)) });
  corners.forEach((name, k) => {
    const [x, y] = point(k, 1), out = [middle[0] + (x - middle[0]) * 1.06, middle[1] + (y - middle[1]) * 1.06];
    put(svg, "line", { class: "grid", x1: middle[0], y1: middle[1], x2: x, y2: y });
    const anchor = Math.abs(x - middle[0]) < 8 ? "middle" : x > middle[0] ? "start" : "end";
    put(svg, "text", { x: out[0], y: out[1] + (y > middle[1] + 8 ? 10 : 2), "text-anchor": anchor }, name);
  });
  for (const one of series) {
    const whole = one.values.every((value) => value !== null);
    if (whole) put(svg, "polygon", { points: ring(one.values), fill: colour(one.place), "fill-opacity": 0.08, stroke: colour(one.place),
      "stroke-width": 2.5, "stroke-dasharray": dash(one.place) });
    one.values.forEach((value, k) => {
      if (value === null) return;
      const [x, y] = point(k, value);
      put(put(svg, "circle", { cx: x, cy: y, r: 3.5, fill: colour(one.place) }), "title", {}, `${one.name}: ${corners[k]} ${fixed(value)}`);
    });
  }
}
