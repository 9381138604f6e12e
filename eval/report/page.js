// Latents to play with, and a table that reads its values aloud. Without it the page is complete.
"use strict";

document.querySelectorAll(".explorer").forEach(makeExplorer);

function makeExplorer(element, number) {
  const data = JSON.parse(document.getElementById(`data-${number}`).textContent);
  const [height, width, channels] = data.shape;
  const decode = data.decoder && makeDecoder(data.decoder);
  const canvas = element.querySelector("canvas");
  const says = element.querySelector("output");
  const [numLatents, numColumns] = [data.values[0].length, data.values[0][0].length];
  Object.assign(canvas, { width, height });
  element.classList.add("scripted");
  let image = 0;
  let columns = [...data.own[0]];
  let sheet = null;
  let drawing = 0;

  const latents = () => columns.map((column, latent) => data.values[image][latent][column]);

  function paint(context, pixels, left, top) {
    const picture = context.createImageData(width, height);
    for (let i = 0; i < width * height; i++) {
      for (let c = 0; c < 3; c++) {
        picture.data[4 * i + c] = Math.round(255 * pixels[i * channels + Math.min(c, channels - 1)]);
      }
      picture.data[4 * i + 3] = 255;
    }
    context.putImageData(picture, left, top);
  }

  function show(latent) {
    const context = canvas.getContext("2d");
    if (decode) {
      paint(context, decode(latents()), 0, 0);
      redrawStrips();
    } else {
      const row = latent ?? 0;
      context.drawImage(sheet, columns[row] * width, row * height, width, height, 0, 0, width, height);
    }
    if (latent !== undefined) {
      const value = data.values[image][latent][columns[latent]];
      says.textContent = `z${latent} = ${Number.isInteger(value) ? value : value.toFixed(2)}`;
    }
  }

  // Each strip shows where one step from here would lead; drawn a few at a time, so that a held
  // arrow key stays smooth.
  function redrawStrips() {
    const mine = ++drawing;
    const strips = document.createElement("canvas");
    Object.assign(strips, { width: width * numColumns, height: height * numLatents });
    const context = strips.getContext("2d");
    const base = latents();
    let cell = 0;
    const some = () => {
      if (mine !== drawing) return;
      const until = performance.now() + 12;
      while (cell < numLatents * numColumns && performance.now() < until) {
        const [latent, column] = [Math.floor(cell / numColumns), cell % numColumns];
        const changed = [...base];
        changed[latent] = data.values[image][latent][column];
        paint(context, decode(changed), column * width, latent * height);
        cell++;
      }
      if (cell < numLatents * numColumns) requestAnimationFrame(some);
      else element.style.setProperty("--sheet", `url(${strips.toDataURL()})`);
    };
    requestAnimationFrame(some);
  }

  function pick(chosen) {
    image = chosen;
    columns = [...data.own[image]];
    says.textContent = "";
    element.style.removeProperty("--sheet");
    check();
    const link = getComputedStyle(element).getPropertyValue("--sheet");
    sheet = new Image();
    sheet.onload = () => show();
    sheet.src = link.trim().replace(/^url\(["']?|["']?\)$/g, "");
  }

  function check() {
    columns.forEach((column, latent) => {
      element.querySelector(`input[name="z${number}-${latent}"][value="${column}"]`).checked = true;
    });
  }

  element.addEventListener("change", ({ target }) => {
    if (target.name === `image${number}`) return pick(Number(target.value));
    const latent = Number(target.name.split("-")[1]);
    if (!decode) columns = [...data.own[image]];
    columns[latent] = Number(target.value);
    if (!decode) check();
    show(latent);
  });
  element.querySelector("button").addEventListener("click", () => pick(image));
  pick(Number(element.querySelector(`input[name="image${number}"]:checked`).value));
}

for (const table of document.querySelectorAll("table.nmi")) {
  const says = table.closest(".scroll").parentElement.querySelector("output");
  const rows = [...table.tBodies[0].rows].map((row) => [...row.querySelectorAll("td")]);
  const tell = (cell) => (says.textContent = cell.dataset.says);
  const locate = (cell) => {
    const row = rows.findIndex((cells) => cells.includes(cell));
    return [row, rows[row].indexOf(cell)];
  };
  rows.flat().forEach((cell, index) => (cell.tabIndex = index ? -1 : 0));
  table.addEventListener("focusin", ({ target }) => target.dataset.says && tell(target));
  table.addEventListener("mouseover", ({ target }) => target.dataset.says && tell(target));
  table.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (!step) return;
    event.preventDefault();
    const [row, column] = locate(document.activeElement);
    const next = rows[row + step[0]]?.[column + step[1]];
    if (!next) return;
    rows[row][column].tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  });
}
