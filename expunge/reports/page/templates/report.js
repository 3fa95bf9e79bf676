"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const font = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", sans-serif';
  const grey = "#57606a";
  const config = {
    font, background: null, padding: 2,
    view: { stroke: null },
    axis: { labelFontSize: 11.5, titleFontSize: 12, titleFontWeight: 600, labelColor: grey, titleColor: "#1f2933",
      gridColor: "#eceff2", domainColor: "#9aa3af", tickColor: "#9aa3af", titlePadding: 8 },
  };
  const options = { mode: "vega-lite", renderer: "svg", ast: true, config, defaultStyle: true,
    actions: { export: { svg: true, png: true }, source: false, compiled: false, editor: false } };

  for (const [id, spec] of Object.entries(data.plots)) {
    vegaEmbed("#" + id, spec, options).catch((error) => { document.getElementById(id).textContent = String(error); });
  }

  const rows = (picture, method) => {
    const who = ["pretrained", method, "oracle"];
    const colors = ["#66707a", data.colors[method] || grey, "#1f2933"];
    const width = (picture.high - picture.low) / 32;
    const strips = who.map((name, place) => ({ who: name, color: colors[place], base: 2 - place, top: 3 - place }));
    const bins = picture.counts.flatMap((counts, place) => counts.map((count, bin) => ({
      who: who[place], color: colors[place], count,
      from: picture.low + bin * width, to: picture.low + (bin + 1) * width,
      base: 2 - place, top: 2 - place + 0.72 * count / Math.max(...counts),
    })).filter((row) => row.count > 0));
    return { band: [{ from: picture.band[0], to: picture.band[1] }], bins, strips };
  };
  const draw = (plot, method) => {
    const spec = { ...data.strips, datasets: rows(data.margins[plot.id][method], method) };
    spec.description = "margins of pretrained, " + (method || "no") + " and oracle models on one example";
    vegaEmbed(plot, spec, { ...options, actions: false }).catch((error) => { plot.textContent = String(error); });
  };
  for (const plot of document.querySelectorAll(".examples .plot")) {
    const select = document.querySelector('select[data-set="' + plot.dataset.set + '"]');
    draw(plot, select ? select.value : "");
    if (select) select.addEventListener("change", () => draw(plot, select.value));
  }
})();
