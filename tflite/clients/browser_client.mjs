// node browser_client.mjs URL CHROMIUM FOLDER < job: drives the page in headless Chromium. Prints a line of JSON for
// each thing as soon as it is known: {chromium: version}, {page: what went wrong when it was used, or ""}, and runs.
//
// job: {inputs: [base64 of float32], recipes: [names, in the order of the page's models], photographs: [{file, label, score,
//       and of a segmenter overlay: base64 of RGBA, least: share of its pixels}], gpuCount: photographs for the GPU,
//       snippet: JavaScript of the documentation}
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createRequire } from "node:module";

const [url, executablePath, folder] = process.argv.slice(2);
const { chromium } = createRequire(join(folder, "package.json"))("playwright-core");
const job = JSON.parse(readFileSync(0, "utf8"));

// Without the second half Chromium looks for its maker's hosts. SwiftShader is a GPU in software.
const args = [
  ...["--no-sandbox", "--no-first-run", "--disable-background-networking", "--disable-component-update"],
  ...["--disable-sync", "--disable-quic"],
  ...["--enable-unsafe-webgpu", "--enable-features=Vulkan", "--use-webgpu-adapter=swiftshader"],
  ...["--use-angle=swiftshader", "--ignore-gpu-blocklist", "--disable-gpu-sandbox"],
];
const browser = await chromium.launch({ executablePath, headless: true, args });

const PATIENCE = 240000; // ms; a busy machine is slow, and not wrong

async function open(options = {}) {
  const context = await browser.newContext(options);
  context.setDefaultTimeout(PATIENCE);
  const page = await context.newPage();
  const foreign = [];
  const errors = [];
  page.on("request", (request) => {
    if (!request.url().startsWith(url) && !/^(blob|data):/.test(request.url())) foreign.push(request.url());
  });
  page.on("pageerror", (error) => errors.push(String(error)));
  await page.goto(url);
  await page.waitForSelector("body[data-state]");
  return { page, foreign, errors, context };
}

const settled = (page) => page.waitForSelector("body[data-state=done], body[data-state=failed]");
const seen = (page) => page.locator("#labels li").evaluateAll((items) => items.map((item) => [item.querySelector("b")?.textContent, Number(item.dataset.score)]));

function must(holds, message) {
  if (!holds) throw new Error(message);
}

// A photograph under its mask, as it stands on the page, against what `predict` draws; browsers blend to a step or two.
async function sameOverlay(page, { overlay, least }) {
  const found = await page.evaluate(async () => {
    const image = document.getElementById("preview");
    await image.decode();
    const context = new OffscreenCanvas(image.naturalWidth, image.naturalHeight).getContext("2d");
    context.drawImage(image, 0, 0);
    return Array.from(context.getImageData(0, 0, image.naturalWidth, image.naturalHeight).data);
  });
  const expected = Buffer.from(overlay, "base64");
  must(found.length === expected.length, `an overlay of ${found.length / 4} pixels, ${expected.length / 4} expected`);
  let same = 0;
  for (let at = 0; at < expected.length; at += 4) same += [0, 1, 2].every((each) => Math.abs(found[at + each] - expected[at + each]) <= 2);
  const share = same / (expected.length / 4);
  must(share >= least, `${(100 * share).toFixed(2)} % of the overlay's pixels are as predict draws them, ${100 * least} % needed`);
}

// A person's way: a click on the button, a photograph dropped, another accelerator, a phone.
async function use() {
  const { page, foreign, errors, context } = await open({ viewport: { width: 1100, height: 760 } });
  const [first, second] = job.photographs;
  const [chooser] = await Promise.all([page.waitForEvent("filechooser"), page.getByRole("button", { name: "Choose a photograph" }).click()]);
  await chooser.setFiles(first.file);
  await settled(page);
  const clicked = await seen(page);
  must(clicked[0]?.[0] === first.label, `clicked: the page says ${JSON.stringify(clicked[0])}, ${first.label} expected; ${await page.textContent("#status")}`);
  must(Math.abs(clicked[0][1] - first.score) < 0.1, `clicked: a score of ${clicked[0][1]}, ${first.score} expected`);
  if (first.overlay) await sameOverlay(page, first);
  must(/^[\d.]+ ms on the CPU/.test(await page.textContent("#status")), "no time is shown");
  await page.screenshot({ path: join(folder, "page.png"), fullPage: true });

  const transfer = await page.evaluateHandle((encoded) => {
    const bytes = Uint8Array.from(atob(encoded), (each) => each.charCodeAt(0));
    const data = new DataTransfer();
    data.items.add(new File([bytes], "dropped.png", { type: "image/png" }));
    return data;
  }, readFileSync(second.file).toString("base64"));
  await page.evaluate(() => delete document.body.dataset.state);
  await page.dispatchEvent("#drop", "drop", { dataTransfer: transfer });
  await settled(page);
  const dropped = await seen(page);
  must(dropped[0]?.[0] === second.label, `dropped: the page says ${JSON.stringify(dropped[0])}, ${second.label} expected`);
  if (second.overlay) await sameOverlay(page, second);

  await page.evaluate(() => delete document.body.dataset.state);
  await page.getByText("GPU", { exact: true }).click();
  await settled(page);
  const onGpu = await seen(page);
  must(onGpu[0]?.[0] === second.label, `GPU: the page says ${JSON.stringify(onGpu[0])}; ${await page.textContent("#status")}`);

  await page.setInputFiles("#file", { name: "notes.txt", mimeType: "text/plain", buffer: Buffer.from("not a picture") });
  await page.waitForFunction(() => document.getElementById("status").textContent === "notes.txt cannot be read as a picture");

  await page.setViewportSize({ width: 380, height: 780 });
  must(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "wider than a phone");
  await page.screenshot({ path: join(folder, "page_phone.png"), fullPage: true });
  // What the policy is for, tried: an image and a request to a host that is not the page's.
  const blocked = await page.evaluate(async () => {
    try {
      await fetch("http://127.0.0.2:9/");
      return "";
    } catch {
      return "blocked";
    }
  });
  must(blocked === "blocked", "the page may load from other hosts");
  const others = foreign.filter((each) => each !== "http://127.0.0.2:9/");
  must(!others.length, `loaded from elsewhere: ${others}`);
  must(!errors.length, `errors on the page: ${errors}`);
  await context.close();
}

// Where LiteRT.js is not whole, the page has to say so, and not to stand there dead.
async function withoutRuntime() {
  const context = await browser.newContext();
  context.setDefaultTimeout(PATIENCE);
  const page = await context.newPage();
  await page.route("**/litert/core/dist/index.js", (route) => route.fulfill({ status: 404 }));
  await page.goto(url);
  await page.waitForSelector("body[data-state=failed]");
  const said = await page.textContent("#status");
  must(said.startsWith("LiteRT.js did not load"), `without LiteRT.js the page says: ${said}`);
  await context.close();
}

// The same numbers that every client gets, through the page's own module.
async function measure(recipe, index, accelerator) {
  const run = { variant: accelerator, recipe };
  let context;
  try {
    const opened = await open();
    const { page, foreign } = opened;
    context = opened.context;
    const inputs = job.inputs.slice(0, accelerator === "webgpu" ? job.gpuCount : undefined);
    const done = await page.evaluate(
      async ({ index, accelerator, inputs }) => {
        const { loadClassifier } = await import("/page/classifier.js");
        const model = (await (await fetch("/models.json")).json())[index];
        let classifier;
        try {
          classifier = await loadClassifier(model, accelerator);
        } catch (error) {
          return { refused: String(error.message ?? error).split("\n")[0] };
        }
        const outputs = [];
        let ms = Infinity;
        for (const encoded of inputs) {
          const bytes = Uint8Array.from(atob(encoded), (each) => each.charCodeAt(0));
          const start = performance.now();
          outputs.push(Array.from(await classifier.run(new Float32Array(bytes.buffer))));
          ms = Math.min(ms, performance.now() - start);
        }
        return { outputs, facts: { ms: Math.round(10 * ms) / 10 } };
      },
      { index, accelerator, inputs },
    );
    Object.assign(run, done);
    if (foreign.length) run.failed = `loaded from elsewhere: ${foreign}`;
  } catch (error) {
    run.failed = String(error.message ?? error).split("\n")[0];
  }
  await context?.close();
  return run;
}

// The snippet of the documentation, as a module of the page, answers as the page's own module does.
async function snippet() {
  const body = `const { pixels, shape } = globalThis.given;\n${job.snippet}\nexport { scores };`;
  const answers = [];
  for (const documented of [false, true]) {
    const { page, context } = await open(); // each loads LiteRT.js, which a page can do once
    await page.route("**/page/snippet.js", (route) => route.fulfill({ contentType: "text/javascript", body }));
    answers.push(
      await page.evaluate(
        async ({ documented, encoded }) => {
          const [model] = await (await fetch("/models.json")).json();
          const bytes = Uint8Array.from(atob(encoded), (each) => each.charCodeAt(0));
          const pixels = new Float32Array(bytes.buffer);
          globalThis.given = { pixels, shape: model.shape };
          if (documented) return (await import("/page/snippet.js")).scores;
          const { loadClassifier } = await import("/page/classifier.js");
          return Array.from(await (await loadClassifier(model, "wasm")).run(pixels));
        },
        { documented, encoded: job.inputs[0] },
      ),
    );
    await context.close();
  }
  const [own, documented] = answers;
  must(own.every((value, index) => Math.abs(value - documented[index]) < 1e-4), "the documented snippet answers otherwise than the page");
}

const told = (what) => console.log(JSON.stringify(what));
told({ chromium: browser.version() });
for (const accelerator of ["wasm", "webgpu"]) {
  for (const [index, recipe] of job.recipes.entries()) told(await measure(recipe, index, accelerator));
}
told({ page: await use().then(withoutRuntime).then(snippet).then(() => "", (error) => String(error.message ?? error)) });
await browser.close();
