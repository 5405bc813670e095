// The page: what is chosen, dropped and shown.
import { toInput } from "/page/photograph.js";
import { classes, overlaid, shares } from "/page/segmentation.js";

const SHOWN = 5;
const element = (id) => document.getElementById(id);
const chosen = () => document.querySelector("input[name=accelerator]:checked").value;

const models = await (await fetch("/models.json")).json();
element("model").append(...models.map((model, index) => new Option(model.name, index)));

let loaded = null; // { key, classifier }
let photograph = null;
let original = null; // its file
let turn = Promise.resolve();

function say(text, bad = false) {
  element("status").textContent = text;
  element("status").classList.toggle("bad", bad);
}

// No static import: where LiteRT.js does not load, the page has to say so.
const running = import("/page/classifier.js").catch((error) => {
  throw new Error(`LiteRT.js did not load (${error.message}); install it again and reload`);
});
running.catch((error) => say(error.message, true));

async function classifier(model) {
  const { loadClassifier } = await running;
  const key = `${model.url} ${chosen()}`;
  if (loaded?.key !== key) {
    loaded?.classifier.delete();
    loaded = null;
    say("Loading the model …");
    loaded = { key, classifier: await loadClassifier(model, chosen()) };
    // The first run prepares kernels: not what a second photograph would take.
    await loaded.classifier.run(new Float32Array(model.shape.reduce((a, b) => a * b)));
  }
  return loaded.classifier;
}

async function answer() {
  if (!photograph) return;
  const model = models[element("model").value];
  document.body.dataset.state = "busy";
  picture(URL.createObjectURL(original)); // without the mask of another model
  try {
    const ready = await classifier(model);
    say("Looking …");
    const input = toInput(photograph, model);
    const start = performance.now();
    const outputs = await ready.run(input);
    const milliseconds = performance.now() - start;
    await SHOW[model.task](model, outputs);
    const where = chosen() === "webgpu" ? "the GPU" : "the CPU";
    say(`${milliseconds.toFixed(milliseconds < 100 ? 1 : 0)} ms on ${where}, ${model.megabytes} MB`);
    document.body.dataset.state = "done";
  } catch (error) {
    element("labels").replaceChildren();
    say(`It did not run: ${error.message ?? error}`, true);
    document.body.dataset.state = "failed";
  }
}

// What becomes of outputs, by their task.
const SHOW = {
  classification: showLabels,
  "semantic-segmentation": showMask,
};

async function showLabels(model, outputs) {
  const { activate } = await running;
  const best = activate(outputs, model.activation).map((score, index) => ({ score, label: model.labels[index] }));
  best.sort((a, b) => b.score - a.score);
  element("labels").replaceChildren(...best.slice(0, SHOWN).map((each) => row(each, model.numbers)));
}

async function showMask(model, outputs) {
  const mask = classes(outputs, model, photograph);
  picture(URL.createObjectURL(await overlaid(photograph, mask, model)));
  const legend = shares(mask).map(({ index, share }) => ({ score: share, label: model.labels[index], color: model.colors[index] }));
  element("labels").replaceChildren(...legend.map((each) => row(each, false)));
}

function row({ score, label, color }, isNumber) {
  const [item, name, share, bar] = ["li", "b", "span", "meter"].map((tag) => document.createElement(tag));
  name.textContent = label;
  share.textContent = isNumber ? score.toPrecision(4) : `${(100 * score).toFixed(1)} %`;
  bar.value = score;
  bar.hidden = isNumber;
  item.dataset.score = score;
  if (color) {
    const swatch = document.createElement("i");
    swatch.className = "swatch";
    swatch.style.backgroundColor = `rgb(${color.join(" ")})`;
    name.prepend(swatch);
  }
  item.append(name, share, bar);
  return item;
}

function picture(url) {
  URL.revokeObjectURL(element("preview").src);
  element("preview").src = url;
}

// One after the other: a model must not be deleted while it runs.
const again = () => (turn = turn.then(answer));

async function take(file) {
  if (!file) return;
  try {
    photograph = await createImageBitmap(file);
  } catch {
    say(`${file.name} cannot be read as a picture`, true);
    document.body.dataset.state = "failed";
    return;
  }
  original = file;
  picture(URL.createObjectURL(file));
  element("preview").alt = file.name;
  element("preview").hidden = false;
  element("drop").classList.add("filled");
  again();
}

element("choose").addEventListener("click", () => element("file").click());
element("file").addEventListener("change", ({ target }) => {
  take(target.files[0]);
  target.value = ""; // the same file may be chosen again
});
element("model").addEventListener("change", again);
element("accelerator").addEventListener("change", again);
for (const name of ["dragover", "dragleave", "drop"]) {
  // On the whole window: a photograph that misses the field would replace the page.
  window.addEventListener(name, (event) => {
    event.preventDefault();
    element("drop").classList.toggle("over", name === "dragover");
    if (name === "drop") take(event.dataTransfer.files[0]);
  });
}
document.body.dataset.state = await running.then(
  () => "ready",
  () => "failed",
);
// Last: a busy GPU answers late, and the page works without.
if (!(await navigator.gpu?.requestAdapter())) {
  const gpu = document.querySelector("input[value=webgpu]");
  gpu.disabled = true;
  gpu.parentElement.title = "This browser offers no GPU";
}
