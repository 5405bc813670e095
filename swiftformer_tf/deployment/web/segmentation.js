// The mask of a segmenter: classes, and their colors over a photograph.

/**
 * Class of each pixel.
 * @param {Float32Array} outputs Logits or probabilities, classes last; or the classes themselves.
 * @param {object} model An entry of /models.json.
 * @returns {Uint8Array}
 */
export function classes(outputs, model) {
  if (model.isMask) return Uint8Array.from(outputs);
  const count = model.labels.length;
  const mask = new Uint8Array(outputs.length / count);
  for (let pixel = 0; pixel < mask.length; pixel++) {
    const start = pixel * count;
    let best = 0;
    for (let index = 1; index < count; index++) if (outputs[start + index] > outputs[start + best]) best = index;
    mask[pixel] = best;
  }
  return mask;
}

/**
 * Shares of the classes that are there, the largest first.
 * @param {Uint8Array} mask
 * @returns {{index: number, share: number}[]}
 */
export function shares(mask) {
  const counts = new Map();
  for (const index of mask) counts.set(index, (counts.get(index) ?? 0) + 1);
  return [...counts].map(([index, count]) => ({ index, share: count / mask.length })).sort((a, b) => b.share - a.share);
}

/**
 * RGBA of a mask.
 * @param {Uint8Array} mask
 * @param {number[][]} colors
 * @returns {Uint8ClampedArray}
 */
export function painted(mask, colors) {
  const pixels = new Uint8ClampedArray(4 * mask.length);
  mask.forEach((index, pixel) => pixels.set([...colors[index], 255], 4 * pixel));
  return pixels;
}

/**
 * The photograph with its mask over it.
 * @param {ImageBitmap} image
 * @param {Uint8Array} mask
 * @param {object} model An entry of /models.json.
 * @returns {Promise<Blob>} A PNG of the photograph's size
 */
export async function overlaid(image, mask, model) {
  const [height, width] = model.maskSize;
  const colors = new OffscreenCanvas(width, height);
  colors.getContext("2d").putImageData(new ImageData(painted(mask, model.colors), width, height), 0, 0);
  const canvas = new OffscreenCanvas(image.width, image.height);
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  context.globalAlpha = 0.5;
  context.imageSmoothingEnabled = false; // classes have nothing between them
  context.drawImage(colors, 0, 0, image.width, image.height);
  return canvas.convertToBlob();
}
