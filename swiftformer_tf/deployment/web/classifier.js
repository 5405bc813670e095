// A model in LiteRT.js: numbers in, numbers out.
import { Tensor, loadAndCompile, loadLiteRt } from "@litertjs/core";

let runtime;

/**
 * Loads a model. Refuses to run on the CPU what was meant for the GPU, which LiteRT.js would do with a mere warning.
 * @param {{url: string, shape: number[]}} model An entry of /models.json.
 * @param {"wasm"|"webgpu"} accelerator
 */
export async function loadClassifier(model, accelerator) {
  runtime ??= loadLiteRt("/litert/core/wasm/");
  await runtime;
  if (accelerator === "webgpu" && !(await navigator.gpu?.requestAdapter())) {
    throw new Error("this browser offers no GPU");
  }
  const compiled = await loadAndCompile(model.url, { accelerator });
  if (accelerator === "webgpu" && !compiled.isFullyAccelerated) {
    compiled.delete();
    throw new Error("the GPU does not take all of this model; choose another model, or the CPU");
  }
  return {
    /** @param {Float32Array} input @returns {Promise<Float32Array>} logits or probabilities */
    async run(input) {
      const tensor = new Tensor(input, model.shape);
      const outputs = await compiled.run(tensor);
      const [output] = outputs;
      const onCpu = accelerator === "webgpu" ? await output.moveTo("wasm") : output;
      const values = Float32Array.from(onCpu.toTypedArray());
      for (const each of new Set([tensor, output, onCpu])) if (!each.deleted) each.delete();
      return values;
    },
    delete() {
      compiled.delete();
    },
  };
}

const ACTIVATIONS = {
  softmax(logits) {
    const most = Math.max(...logits);
    const powers = logits.map((value) => Math.exp(value - most));
    const sum = powers.reduce((a, b) => a + b, 0);
    return powers.map((power) => power / sum);
  },
  sigmoid: (logits) => logits.map((value) => 1 / (1 + Math.exp(-value))),
};

/** @param {Float32Array} outputs @param {"softmax"|"sigmoid"|null} activation What is left to do, of /models.json. */
export function activate(outputs, activation) {
  return activation ? ACTIVATIONS[activation](Array.from(outputs)) : Array.from(outputs);
}
