// A photograph as what a model takes.

/**
 * Resizes and crops as evaluation does (swiftformer_tf.preprocessing.Transform), with the browser's own resampling.
 * @param {ImageBitmap} image
 * @param {object} model An entry of /models.json.
 * @returns {Float32Array} RGB, channels last
 */
export function toInput(image, model) {
  const [, height, width] = model.shape;
  const { crop, mean, std } = model.transform;
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  context.fillStyle = "white"; // behind what is transparent
  context.fillRect(0, 0, width, height);
  if (crop === null) {
    context.drawImage(image, 0, 0, width, height);
  } else {
    const scale = Math.max(Math.floor(width / crop) / image.width, Math.floor(height / crop) / image.height);
    const [scaledWidth, scaledHeight] = [image.width * scale, image.height * scale];
    context.drawImage(image, (width - scaledWidth) / 2, (height - scaledHeight) / 2, scaledWidth, scaledHeight);
  }
  const { data } = context.getImageData(0, 0, width, height);
  const input = new Float32Array(height * width * 3);
  for (let pixel = 0; pixel < height * width; pixel++) {
    for (let channel = 0; channel < 3; channel++) {
      const value = data[4 * pixel + channel];
      input[3 * pixel + channel] = model.raw ? value : (value / 255 - mean[channel]) / std[channel];
    }
  }
  return input;
}
