// node screens.mjs CHROMIUM FOLDER < job: pictures of pages. FOLDER is where npm installed playwright-core.
//
// job: [{url, file, width, height, photograph}], where a photograph is dropped on the page and its answer waited for
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createRequire } from "node:module";

const [executablePath, folder] = process.argv.slice(2);
const { chromium } = createRequire(join(folder, "package.json"))("playwright-core");
const args = ["--no-sandbox", "--no-first-run", "--disable-background-networking", "--disable-component-update"];
const browser = await chromium.launch({ executablePath, headless: true, args, timeout: 240000 });
for (const { url, file, width, height, photograph } of JSON.parse(readFileSync(0, "utf8"))) {
  const page = await browser.newPage({ viewport: { width, height } });
  page.setDefaultTimeout(240000); // ms; a busy machine is slow
  await page.goto(url);
  if (photograph) {
    await page.setInputFiles("#file", photograph);
    await page.waitForSelector("body[data-state=done]");
  }
  await page.screenshot({ path: file });
}
await browser.close();
