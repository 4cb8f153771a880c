// Figures that are our own SVG, such as parallel coordinates: their numbers, and as a file.
import { $ } from "../behaviour.js";
import { colour } from "./theme.js";

/** Heads and rows of parallel coordinates. */
export function rowsOfParallel(data) {
  return [["Run", ...data.dims.map((dim) => dim.label)], data.rows.map((row) => [row.name, ...row.v])];
}

/** A copy of the drawing that stands on its own: with its background and its font. */
export function drawnSvg(box) {
  const copy = $("svg", box).cloneNode(true);
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  copy.setAttribute("font-family", "Inter, system-ui, sans-serif");
  const back = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  for (const [name, value] of Object.entries({ width: "100%", height: "100%", fill: colour("surface") })) back.setAttribute(name, value);
  copy.prepend(back);
  return copy;
}

/** Save as SVG, or drawn on a canvas as PNG of twice the size. */
export async function saveSvg(svg, format, name, save) {
  const text = new XMLSerializer().serializeToString(svg);
  if (format === "svg") { save(`${name}.svg`, [text], "image/svg+xml"); return; }
  const image = new Image();
  const address = URL.createObjectURL(new Blob([text], { type: "image/svg+xml" }));
  try {
    image.src = address;
    await image.decode();
    const canvas = document.createElement("canvas");
    canvas.width = 2 * svg.getAttribute("width");
    canvas.height = 2 * svg.getAttribute("height");
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    save(`${name}.png`, [await new Promise((done) => { canvas.toBlob(done, "image/png"); })], "image/png");
  } finally {
    URL.revokeObjectURL(address);
  }
}
