"use strict";
// Nothing is loaded from anywhere: data and pictures are in the page.
(() => {
  const unpack = async text => {
    const bytes = Uint8Array.from(atob(text), c => c.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
  };
  const save = (name, parts, type) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob(parts, { type }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };
  const press = (text, label, work) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = text;
    button.setAttribute("aria-label", label);
    button.addEventListener("click", work);
    return button;
  };
  // A picture in a window of its own: buttons, wheel, drag, and the keys + - 0 and the arrows.
  const zoom = (image, opener) => {
    const box = document.createElement("dialog");
    box.className = "zoom";
    box.setAttribute("aria-label", `${image.alt}; plus and minus zoom, arrows move, Escape closes`);
    const large = document.createElement("img");
    large.src = image.src;
    large.alt = image.alt;
    box.append(press("Close", "Close", () => box.close()), press("+", "Zoom in", () => to(1.4)),
      press("\u2212", "Zoom out", () => to(1 / 1.4)), large);
    document.body.append(box);
    let [scale, x, y] = [1, 0, 0];
    const place = () => { large.style.transform = `translate(${x}px, ${y}px) scale(${scale})`; };
    const to = factor => { scale = Math.min(12, Math.max(1, scale * factor)); if (scale === 1) x = y = 0; place(); };
    box.addEventListener("wheel", e => { e.preventDefault(); to(e.deltaY < 0 ? 1.2 : 1 / 1.2); }, { passive: false });
    large.addEventListener("pointerdown", e => { e.preventDefault(); large.setPointerCapture(e.pointerId); });
    large.addEventListener("pointermove", e => {
      if (large.hasPointerCapture(e.pointerId)) { x += e.movementX; y += e.movementY; place(); }
    });
    const keys = { "+": () => to(1.4), "-": () => to(1 / 1.4), "0": () => to(0), ArrowLeft: () => { x += 60; },
      ArrowRight: () => { x -= 60; }, ArrowUp: () => { y += 60; }, ArrowDown: () => { y -= 60; } };
    box.addEventListener("keydown", e => { if (keys[e.key]) { e.preventDefault(); keys[e.key](); place(); } });
    box.addEventListener("close", () => { box.remove(); opener.focus(); });
    box.showModal();
  };
  // Names the nearest cell or point under the pointer.
  const hover = async (image, tip) => {
    const panels = JSON.parse(await unpack(image.dataset.places));
    image.addEventListener("pointermove", e => {
      const at = image.getBoundingClientRect();
      const [px, py] = [(e.clientX - at.left) / at.width * 1e4, (e.clientY - at.top) / at.height * 1e4];
      const ratio = at.height / at.width;
      let best = null, nearest = 200 ** 2;
      for (const panel of panels) for (const row of panel.rows) {
        const far = (row[0] - px) ** 2 + ((row[1] - py) * ratio) ** 2;
        if (far < nearest) [nearest, best] = [far, [panel, row]];
      }
      tip.hidden = !best;
      if (!best) return;
      const [panel, row] = best;
      const words = [`${panel.x}: ${row[2]}`, `${panel.y}: ${row[3]}`];
      if (row[4]) words.push(`${panel.value}: ${row[4]}`);
      tip.textContent = words.join("   ");
      tip.style.left = `${Math.min(e.clientX + 14, innerWidth - tip.offsetWidth - 8)}px`;
      tip.style.top = `${e.clientY + 18}px`;
    });
    image.addEventListener("pointerleave", () => { tip.hidden = true; });
  };
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  document.body.append(tip);
  const can = "DecompressionStream" in window;
  for (const figure of document.querySelectorAll("figure")) {
    const image = figure.querySelector("img");
    figure.querySelector(".tools").append(press("Zoom", `Zoom: ${image.alt}`, e => zoom(image, e.currentTarget)));
    const link = figure.querySelector("a[download$=gz]");
    if (can) link.addEventListener("click", async e => {
      e.preventDefault();
      save(link.download.replace(".gz", ""), [await unpack(link.href.split(",")[1])], "text/csv");
    });
    if (can && image.dataset.places) hover(image, tip);
  }
  // A table that is wider than the page is scrolled by keys.
  const widths = new ResizeObserver(found => {
    for (const { target } of found) {
      if (target.scrollWidth > target.clientWidth) target.tabIndex = 0;
      else target.removeAttribute("tabindex");
    }
  });
  for (const table of document.querySelectorAll(".wide")) widths.observe(table);
  // The entry of the section that is read is marked in the list of contents.
  const entries = new Map([...document.querySelectorAll("nav a")].map(a => [a.hash.slice(1), a]));
  const seen = new IntersectionObserver(found => {
    for (const item of found) if (item.isIntersecting) {
      for (const a of entries.values()) a.removeAttribute("aria-current");
      entries.get(item.target.id)?.setAttribute("aria-current", "true");
    }
  }, { rootMargin: "-10% 0px -80% 0px" });
  for (const id of entries.keys()) seen.observe(document.getElementById(id));
})();
