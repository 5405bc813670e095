// The mask of a segmenter: classes, and their colors over a photograph.

/**
 * Class of each pixel of a photograph, as `predict` tells it (swiftformer_tf.tasks.semantic_segmentation.answers_at): logits and
 * probabilities are interpolated before the largest is taken.
 * @param {Float32Array} outputs Logits or probabilities, classes last; or the classes themselves.
 * @param {object} model An entry of /models.json.
 * @param {{width: number, height: number}} photograph
 * @returns {Uint8Array} Row by row, of the photograph's size
 */
export function classes(outputs, model, { width, height }) {
  const [rows, columns] = model.maskSize;
  const mask = new Uint8Array(width * height);
  if (model.isMask) {
    mask.forEach((_, pixel) => {
      const [row, column] = [Math.floor(pixel / width), pixel % width];
      mask[pixel] = outputs[Math.floor((row * rows) / height) * columns + Math.floor((column * columns) / width)];
    });
    return mask;
  }
  const count = model.labels.length;
  const [down, across] = [steps(rows, height), steps(columns, width)];
  const line = new Float32Array(columns * count);
  for (let row = 0; row < height; row++) {
    const [above, below] = [down.lower[row] * line.length, down.upper[row] * line.length];
    for (let each = 0; each < line.length; each++) {
      line[each] = between(outputs[above + each], outputs[below + each], down.weight[row]);
    }
    for (let column = 0; column < width; column++) {
      const [left, right] = [across.lower[column] * count, across.upper[column] * count];
      let [best, most] = [0, -Infinity];
      for (let index = 0; index < count; index++) {
        const value = between(line[left + index], line[right + index], across.weight[column]);
        if (value > most) [best, most] = [index, value];
      }
      mask[row * width + column] = best;
    }
  }
  return mask;
}

const between = (first, second, weight) => first + (second - first) * weight;

/** Between which two of the model's rows, or columns, each one of the photograph lies: bilinear, half-pixel centers. */
function steps(from, to) {
  const places = Float32Array.from({ length: to }, (_, index) => Math.max((index + 0.5) * (from / to) - 0.5, 0));
  const lower = places.map(Math.floor);
  return { lower, upper: lower.map((each) => Math.min(each + 1, from - 1)), weight: places.map((each, index) => each - lower[index]) };
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
  const opaque = colors.map((color) => [...color, 255]);
  mask.forEach((index, pixel) => pixels.set(opaque[index], 4 * pixel));
  return pixels;
}

/**
 * The photograph with its mask over it.
 * @param {ImageBitmap} image
 * @param {Uint8Array} mask Of its size
 * @param {object} model An entry of /models.json.
 * @returns {Promise<Blob>} A PNG of its size
 */
export async function overlaid(image, mask, model) {
  const { width, height } = image;
  const colors = new OffscreenCanvas(width, height);
  colors.getContext("2d").putImageData(new ImageData(painted(mask, model.colors), width, height), 0, 0);
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  context.globalAlpha = 0.5;
  context.drawImage(colors, 0, 0);
  return canvas.convertToBlob();
}
