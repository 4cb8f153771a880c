// Chart defaults and the few chart kinds we draw. Plotly is loaded only when a chart comes near the screen.
import { $, $$ } from "../behaviour.js";
const read = (sel) => JSON.parse($(sel).textContent);

/* resolve design tokens to real colours (light-dark() needs a probe) */
const probe = document.createElement("i");
probe.hidden = true; document.body.append(probe);
const col = (name) => { probe.style.color = `var(--${name})`; return getComputedStyle(probe).color; };
const fade = (c, a) => c.replace(/^rgb\((.*)\)$/, `rgba($1, ${a})`);
const run = (k) => (k ? col(`c${k}`) : col("c-muted"));

let loading = null;
const plotly = () => loading ||= new Promise((ok, no) => {
  if (window.Plotly) return ok(window.Plotly);
  const s = document.createElement("script");
  s.src = $("meta[name=plotly-source]").content; s.onload = () => ok(window.Plotly); s.onerror = no;
  document.head.append(s);
});

const axis = (o = {}) => ({
  gridcolor: col("line"), linecolor: col("line-2"), zeroline: false, showline: false, ticks: "", automargin: true, fixedrange: o.fixedrange ?? false,
  tickfont: { size: 11, color: col("ink-2") }, ...o,
  title: o.title ? { text: o.title, font: { size: 11, color: col("ink-2") }, standoff: 6 } : undefined,
});
const layout = (o = {}) => ({
  paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { family: getComputedStyle(document.body).fontFamily, size: 11, color: col("ink-2") },
  margin: { l: 44, r: 10, t: 8, b: 30 }, showlegend: false, hovermode: "x unified", dragmode: "zoom",
  hoverlabel: { bgcolor: col("surface"), bordercolor: col("line-2"), font: { size: 11, color: col("ink") } }, ...o,
  xaxis: axis({ showgrid: false, showline: true, ...(o.xaxis || {}) }), yaxis: axis({ nticks: 6, ...(o.yaxis || {}) }),
});
const config = { displayModeBar: false, displaylogo: false, responsive: true, plotlyServerURL: "", doubleClick: "reset" };

const DASH = ["solid", "dash", "dot", "dashdot"];
const SYMBOL = ["circle", "square", "diamond", "triangle-up", "cross", "triangle-down", "star", "hexagon"];

/* debiased exponential moving average */
const smooth = (ys, w) => { if (!w) return ys; let s = 0, d = 0; return ys.map((y) => { s = s * w + y * (1 - w); d = d * w + (1 - w); return s / d; }); };
const clip = (traces) => { // ignore the outer 2 % on each side
  const v = traces.flatMap((t) => t.y).filter(Number.isFinite).sort((a, b) => a - b);
  const lo = v[Math.floor(v.length * .02)], hi = v[Math.ceil(v.length * .98) - 1], pad = (hi - lo) * .08;
  return [lo - pad, hi + pad];
};

const kinds = {
  /* metric curves of several runs; reads the shared controls in data-controls */
  curves(el) {
    const d = read(el.dataset.src), metric = el.dataset.metric, form = el.dataset.controls ? $(el.dataset.controls) : null;
    const opt = form ? Object.fromEntries(new FormData(form)) : {};
    const w = Number(opt.smooth || 0) / 100, xs = opt.x || "step", traces = [];
    d.runs.forEach((r) => {
      if (r.off || !r.m[metric]) return;
      const x = xs === "time" ? r.t.map((t) => new Date(d.t0 + (r.start + t) * 1000)) : xs === "rel" ? r.t.map((t) => t / 60) : (r.s || d.steps);
      const y = r.m[metric], c = run(r.k);
      if (w) traces.push({ x, y, mode: "lines", line: { color: fade(c, .22), width: 1 }, hoverinfo: "skip" });
      traces.push({ x, y: smooth(y, w), name: r.name, mode: "lines", line: { color: c, width: 1.75, dash: DASH[r.dash || 0] }, hovertemplate: "%{y:.4f}" });
    });
    const log = opt.y === "log";
    const yr = opt.clip && !log ? clip(traces) : undefined;
    return [traces, layout({ xaxis: { title: { step: "Boosting round", rel: "Minutes since start", time: "" }[xs] }, yaxis: { type: log ? "log" : "linear", range: yr, tickformat: ".3~f" }, height: el.clientHeight })];
  },
  /* time series with optional threshold line and shaded marks */
  series(el) {
    const d = read(el.dataset.src), shapes = [], ann = [];
    const traces = d.lines.map((l) => ({ x: d.x, y: l.y, name: l.name, mode: "lines", line: { color: l.k ? run(l.k) : col(l.c || "accent"), width: l.w || 1.75, dash: DASH[l.dash || 0] }, fill: l.fill ? "tozeroy" : undefined, fillcolor: l.fill ? fade(l.k ? run(l.k) : col("accent"), .1) : undefined, hovertemplate: `%{y:${d.fmt || ".3~f"}}${d.unit ? ` ${d.unit}` : ""}`, connectgaps: false }));
    if (d.limit != null) { shapes.push({ type: "line", xref: "paper", x0: 0, x1: 1, y0: d.limit, y1: d.limit, line: { color: col("bad"), width: 1.25, dash: "dot" } }); ann.push({ xref: "paper", x: d.limitLeft ? 0 : 1, xshift: d.limitLeft ? 6 : 0, y: d.limit, text: d.limitText, showarrow: false, xanchor: d.limitLeft ? "left" : "right", yanchor: "bottom", font: { size: 11, color: col("bad") } }); }
    (d.marks || []).forEach((m) => { shapes.push({ type: "line", yref: "paper", y0: 0, y1: 1, x0: m.x, x1: m.x, line: { color: col("ink-3"), width: 1, dash: "dot" } }); ann.push({ x: m.x, yref: "paper", y: 1, text: m.t, showarrow: false, xanchor: "left", xshift: 4, yanchor: "top", font: { size: 11, color: col("ink-2") } }); });
    return [traces, layout({ shapes, annotations: ann, xaxis: { title: d.xt }, yaxis: { title: d.yt, rangemode: d.zero ? "tozero" : "normal", range: d.range, ticksuffix: d.suffix || "", tickformat: d.tick }, height: el.clientHeight })];
  },
  scatter(el) {
    const d = read(el.dataset.src), by = { 0: [] };
    d.rows.forEach((r) => (by[r.k || 0] ||= []).push(r));
    const traces = Object.entries(by).map(([k, rs]) => ({ x: rs.map((r) => r.x), y: rs.map((r) => r.y), text: rs.map((r) => r.name), name: +k ? rs[0].name : "other runs", mode: "markers", hovertemplate: `%{text}<br>${d.xt} %{x}<br>${d.yt} %{y:.4f}<extra></extra>`, marker: { size: +k ? 11 : 6, symbol: +k ? SYMBOL[(+k - 1) % 8] : "circle", color: +k ? run(+k) : fade(col("c-muted"), .7), line: { width: +k ? 1.5 : 0, color: col("surface") } } }));
    return [traces, layout({ hovermode: "closest", xaxis: { title: d.xt, type: d.log ? "log" : "linear", showgrid: true, ...(d.log ? { tickvals: d.ticks, ticktext: d.ticks.map(String) } : {}) }, yaxis: { title: d.yt, tickformat: ".3f" }, height: el.clientHeight })];
  },
  overlay(el) {
    const d = read(el.dataset.src), ref = d.sets[0].y, traces = [...d.sets].reverse().map((s) => ({ type: "bar", x: d.x, y: s.y, name: s.name, hovertemplate: "%{y:.1%}", marker: s === d.sets[0] ? { color: "rgba(0,0,0,0)", line: { width: 1.5, color: col("ink-2") } } : { color: s.y.map((_, i) => fade(run(ref[i] ? 1 : 2), .62)) } }));
    return [traces, layout({ barmode: "overlay", bargap: .06, xaxis: { title: d.xt, type: d.cat ? "category" : "linear" }, yaxis: { tickformat: ".0%", title: d.yt }, height: el.clientHeight })];
  },
  box(el) {
    const d = read(el.dataset.src);
    return [d.groups.map((g) => ({ type: "box", y: g.y, name: g.name, boxpoints: "outliers", marker: { color: col("accent"), size: 3 }, line: { width: 1.25 }, fillcolor: fade(col("accent"), .12) })), layout({ hovermode: "closest", yaxis: { title: d.yt, tickformat: ".3f" }, xaxis: { title: d.xt }, height: el.clientHeight })];
  },
};

const draw = async (el) => {
  const P = await plotly(), [traces, lay] = kinds[el.dataset.chart](el);
  await P.react(el, traces, lay, config);
  el.removeAttribute("aria-busy"); el.querySelector(".sk")?.remove();
};
const plots = $$(".plot[data-chart]");
const seen = new WeakSet();
const io = new IntersectionObserver((es) => es.forEach((e) => { if (e.isIntersecting && !seen.has(e.target)) { seen.add(e.target); draw(e.target); } }), { rootMargin: "300px" });
plots.forEach((p) => io.observe(p));
const redraw = () => { plots.filter((p) => seen.has(p)).forEach(draw); $$("[data-parallel]").forEach(parallel); };
document.addEventListener("themechange", redraw);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
for (const f of $$("form[data-chartcontrols]")) f.addEventListener("input", () => {
  $$(`[data-out]`, f).forEach((o) => { o.textContent = (Number(f.elements[o.dataset.out].value) / 100).toFixed(2); });
  plots.filter((p) => p.dataset.controls === `#${f.id}` && seen.has(p)).forEach(draw);
});

/* parallel coordinates in SVG: one path per run, drag on an axis to keep a range */
const NS = "http://www.w3.org/2000/svg";
const mk = (tag, at, parent, text) => { const n = document.createElementNS(NS, tag); for (const k in at) n.setAttribute(k, at[k]); if (text != null) n.textContent = text; parent?.append(n); return n; };
const brushes = {};
function parallel(el) {
  const d = read(el.dataset.parallel), W = el.clientWidth, H = el.clientHeight, top = 34, bot = 18, side = 58;
  const px = (i) => side + i * (W - 2 * side) / (d.dims.length - 1);
  const sc = d.dims.map((dim, i) => {
    const f = dim.log ? Math.log10 : (v) => v;
    if (dim.cats) return { y: (v) => top + (H - top - bot) * (dim.cats.length === 1 ? .5 : dim.cats.indexOf(v) / (dim.cats.length - 1)), ticks: dim.cats };
    const vs = d.rows.map((r) => f(r.v[i])), lo = dim.min != null ? f(dim.min) : Math.min(...vs), hi = dim.max != null ? f(dim.max) : Math.max(...vs);
    return { y: (v) => top + (H - top - bot) * (1 - (f(v) - lo) / (hi - lo)), ticks: dim.ticks };
  });
  el.replaceChildren();
  const svg = mk("svg", { width: W, height: H, viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": d.label }, null);
  const path = (r) => r.v.map((v, i) => `${i ? "L" : "M"}${px(i).toFixed(1)} ${sc[i].y(v).toFixed(1)}`).join("");
  const ok = (r) => Object.entries(brushes).every(([i, b]) => { const y = sc[i].y(r.v[i]); return y >= b[0] && y <= b[1]; });
  const back = mk("g", { fill: "none", "stroke-width": 1 }, svg), front = mk("g", { fill: "none", "stroke-width": 2 }, svg);
  const paths = d.rows.map((r) => { const p = mk("path", { d: path(r), stroke: r.k ? run(r.k) : col("c-muted"), "stroke-opacity": r.k ? 1 : .45, "stroke-dasharray": r.k ? ["", "6 3", "2 3", "8 3 2 3"][r.dash || 0] : "" }, r.k ? front : back); p.dataset.name = r.name; return [p, r]; });
  const paint = () => { let n = 0; paths.forEach(([p, r]) => { const on = ok(r); n += on; p.setAttribute("display", on ? "" : "none"); }); const o = $(el.dataset.count); if (o) o.textContent = `${n} of ${d.rows.length} runs`; };
  d.dims.forEach((dim, i) => {
    const g = mk("g", { transform: `translate(${px(i)} 0)` }, svg);
    mk("text", { y: 14, "text-anchor": "middle", "font-size": 11, "font-weight": 600, fill: col("ink") }, g, dim.label);
    mk("line", { y1: top, y2: H - bot, stroke: col("line-2"), "stroke-width": 1 }, g);
    sc[i].ticks.forEach((t) => { const y = sc[i].y(t); mk("line", { x1: -3, x2: 3, y1: y, y2: y, stroke: col("ink-3") }, g); const last = i === d.dims.length - 1; const tx = mk("text", { x: last ? 8 : -7, y: y + 3.5, "text-anchor": last ? "start" : "end", "font-size": 10.5, fill: col("ink-2"), stroke: col("surface"), "stroke-width": 3, "paint-order": "stroke" }, g, String(t)); tx.setAttribute("pointer-events", "none"); });
    const sel = mk("rect", { x: -7, width: 14, y: 0, height: 0, rx: 3, fill: fade(col("accent"), .18), stroke: col("accent") }, g);
    const show = () => { const b = brushes[i]; sel.setAttribute("display", b ? "" : "none"); if (b) { sel.setAttribute("y", b[0]); sel.setAttribute("height", Math.max(1, b[1] - b[0])); } };
    const hit = mk("rect", { x: -14, width: 28, y: top - 6, height: H - top - bot + 12, fill: "transparent", cursor: "ns-resize" }, g);
    let from = null;
    const at = (e) => Math.max(top - 4, Math.min(H - bot + 4, e.clientY - svg.getBoundingClientRect().top));
    hit.addEventListener("pointerdown", (e) => { from = at(e); hit.setPointerCapture(e.pointerId); });
    hit.addEventListener("pointermove", (e) => { if (from == null) return; const y = at(e); brushes[i] = [Math.min(from, y), Math.max(from, y)]; show(); paint(); });
    hit.addEventListener("pointerup", (e) => { if (Math.abs(at(e) - from) < 4) { delete brushes[i]; show(); paint(); } from = null; });
    show();
  });
  svg.addEventListener("pointerover", (e) => { const p = e.target.closest("path"); if (!p) return; p.setAttribute("stroke-width", 3); p.dataset.tip = p.dataset.name; });
  svg.addEventListener("pointerout", (e) => { const p = e.target.closest("path"); p?.removeAttribute("stroke-width"); });
  el.append(svg); paint();
}
for (const b of $$("[data-parallel-clear]")) b.addEventListener("click", () => { for (const k in brushes) delete brushes[k]; $$("[data-parallel]").forEach(parallel); });
$$("[data-parallel]").forEach((el) => { parallel(el); new ResizeObserver(() => { if (el.firstChild && Math.abs(el.firstChild.clientWidth - el.clientWidth) > 4) parallel(el); }).observe(el); });

/* hide or show one run everywhere on the compare page */
document.addEventListener("click", (e) => {
  const b = e.target.closest("[data-run-eye]");
  if (!b) return;
  const on = b.getAttribute("aria-pressed") !== "true";
  b.setAttribute("aria-pressed", String(on));
});
