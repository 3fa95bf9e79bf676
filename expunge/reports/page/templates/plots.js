"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const font = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", sans-serif';
  const config = { font, background: null, padding: 2, view: { stroke: null },
    axis: { labelFontSize: 11.5, titleFontSize: 12, gridColor: "#eceff2", domainColor: "#9aa3af", tickColor: "#9aa3af" } };
  const options = { mode: "vega-lite", renderer: "svg", ast: true, config, defaultStyle: true,
    actions: { export: { svg: true, png: true }, source: false, compiled: false, editor: false } };
  for (const [id, spec] of Object.entries(data.plots)) {
    vegaEmbed("#" + id, spec, options).catch((error) => { document.getElementById(id).textContent = String(error); });
  }
})();
