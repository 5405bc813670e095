// A photograph as what a model takes.

/**
 * Resizes and crops as evaluation does (swiftformer_tf.images.transform.Transform), with the browser's own resampling.
 * @param {ImageBitmap} image
 * @param {object} model An entry of /models.json.
 * @returns {Float32Array} RGB or gray, channels last
 */
export function toInput(image, model) {
  const [, height, width, channels] = model.shape;
  const { mean, std } = model.transform;
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  context.fillStyle = "white"; // behind what is transparent
  context.fillRect(0, 0, width, height);
  let [scaledHeight, scaledWidth] = model.resized;
  if (model.keepsShape) {
    const scale = Math.max(scaledWidth / image.width, scaledHeight / image.height);
    [scaledWidth, scaledHeight] = [image.width * scale, image.height * scale];
  }
  context.drawImage(image, (width - scaledWidth) / 2, (height - scaledHeight) / 2, scaledWidth, scaledHeight);
  const { data } = context.getImageData(0, 0, width, height);
  const input = new Float32Array(height * width * channels);
  for (let pixel = 0; pixel < height * width; pixel++) {
    const colors = data.subarray(4 * pixel, 4 * pixel + 3);
    // Gray as Pillow's mode L has it.
    const values = channels === 1 ? [(19595 * colors[0] + 38470 * colors[1] + 7471 * colors[2] + 0x8000) >> 16] : colors;
    for (let channel = 0; channel < channels; channel++) {
      const value = values[channel];
      input[channels * pixel + channel] = model.raw ? value : (value / 255 - mean[channel]) / std[channel];
    }
  }
  return input;
}
