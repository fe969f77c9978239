"use strict";
(async () => {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const pictures = read("pictures"), trials = read("trials");
  const views = [];
  const axis = {
    labelColor: "var(--soft)", titleColor: "var(--soft)", gridColor: "var(--line)", domainColor: "var(--line)",
    tickColor: "var(--line)", titleFontWeight: "normal",
  };
  const config = {
    background: null, font: "system-ui, sans-serif", view: { stroke: null }, axis,
    legend: { labelColor: "var(--ink)", titleColor: "var(--soft)" },
  };

  // Name the trial, and mark it in all pictures of its search.
  const choose = (search, number) => {
    const found = (trials[search] || {})[number];
    if (!found) return;
    const panel = document.getElementById(`chosen-${search}`), list = document.createElement("dl");
    for (const [key, text] of Object.entries(found)) {
      const dt = document.createElement("dt"), dd = document.createElement("dd");
      dt.textContent = key;
      dd.textContent = text;
      list.append(dt, dd);
    }
    const close = document.createElement("button");
    close.textContent = "close";
    close.addEventListener("click", () => mark(search, -1));
    panel.replaceChildren(close, list);
    mark(search, number);
  };
  const mark = (search, number) => {
    document.getElementById(`chosen-${search}`).hidden = number < 0;
    for (const [of, view] of views) if (of === search) view.signal("chosen", number).runAsync();
  };
  addEventListener("keydown", (event) => {
    if (event.key === "Escape") Object.keys(trials).forEach((search) => mark(search, -1));
  });

  for (const { id, search, spec } of pictures) {
    const place = document.getElementById(id);
    try {
      const { view } = await vegaEmbed(place, spec, { mode: "vega-lite", renderer: "svg", actions: false, config });
      views.push([search, view]);
      view.addEventListener("click", (_, item) => {
        if (item && item.datum && item.datum.trial !== undefined) choose(search, item.datum.trial);
      });
    } catch (error) {
      place.textContent = `This picture cannot be drawn here: ${error.message}`;
    }
  }
  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((each) => { each.open = true; }));
  document.documentElement.dataset.drawn = String(views.length);
})();
