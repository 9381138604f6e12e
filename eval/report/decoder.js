// A decoder as `eval.layer_list` lists it: makeDecoder(packed)(latents) -> Float32Array, H x W x C.
"use strict";

function makeDecoder({ layers, arrays, data }) {
  const bytes = Uint8Array.from(atob(data), (character) => character.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  const parameters = {};
  for (const [name, [start, shape]] of Object.entries(arrays)) {
    const size = shape.reduce((a, b) => a * b, 1);
    const values = Float32Array.from({ length: size }, (_, i) =>
      readHalf(view.getUint16(2 * (start + i), true)));
    parameters[name] = { shape, values };
  }

  return (latents) => {
    let x = { shape: [latents.length], values: Float32Array.from(latents) };
    let style = null;
    for (const [name, ...names] of layers) {
      const args = names.map((arg) => (typeof arg === "string" ? parameters[arg] : arg));
      if (name === "keep") style = x;
      else if (name === "modulate") x = modulate(x, linear(style, ...args));
      else x = LAYERS[name](x, ...args);
    }
    return x.values;
  };
}

function readHalf(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

const LAYERS = {
  linear,
  norm,
  conv,
  leaky_relu: (x, slope) => map(x, (v) => (v < 0 ? slope * v : v)),
  sigmoid: (x) => map(x, (v) => 1 / (1 + Math.exp(-v))),
  reshape: (x, shape) => ({ shape, values: x.values }),
  constant: (x, learned) => learned,
  lookup: (x, { shape: [books, count, size], values }) => ({
    shape: [x.values.length * size],
    values: Float32Array.from({ length: x.values.length * size }, (_, i) => {
      const latent = Math.floor(i / size);
      const row = (books === 1 ? 0 : latent) * count + x.values[latent];
      return values[row * size + (i % size)];
    }),
  }),
};

function map(x, f) {
  return { shape: x.shape, values: x.values.map(f) };
}

function linear(x, { shape: [, numOut], values: kernel }, bias) {
  const out = Float32Array.from(bias.values);
  x.values.forEach((v, i) => {
    for (let o = 0; o < numOut; o++) out[o] += v * kernel[i * numOut + o];
  });
  return { shape: [numOut], values: out };
}

// Over all but channels (axes 1 and 2), or over the features of a vector (axis -1).
function norm(x, axes, scale, bias) {
  const groups = axes.length === 2 ? x.shape[2] : 1;
  const count = x.values.length / groups;
  const out = new Float32Array(x.values.length);
  for (let g = 0; g < groups; g++) {
    let mean = 0;
    let variance = 0;
    for (let i = g; i < out.length; i += groups) mean += x.values[i] / count;
    for (let i = g; i < out.length; i += groups) variance += (x.values[i] - mean) ** 2 / count;
    const gain = 1 / Math.sqrt(variance + 1e-6);
    for (let i = g; i < out.length; i += groups) out[i] = (x.values[i] - mean) * gain;
  }
  if (scale) {
    const period = scale.values.length;
    for (let i = 0; i < out.length; i++) {
      out[i] = out[i] * scale.values[i % period] + bias.values[i % period];
    }
  }
  return { shape: x.shape, values: out };
}

function modulate(x, style) {
  const channels = x.shape[2];
  const positive = style.values.map((v) => Math.max(v, 0));
  const values = x.values.map((v, i) =>
    v * positive[i % channels] + positive[channels + (i % channels)]);
  return { shape: x.shape, values };
}

function conv(x, stride, padding, dilation, { shape: [size, , numIn, numOut], values: kernel }) {
  const [height, width] = x.shape;
  const reach = (n) => Math.floor((dilation * (n - 1) + 2 * padding + 1 - size) / stride) + 1;
  const [outHeight, outWidth] = [reach(height), reach(width)];
  const values = new Float32Array(outHeight * outWidth * numOut);
  // The input's row or column at a place of the dilated, padded one; -1 where there are zeros.
  const find = (place, n) => {
    const at = place - padding;
    return at < 0 || at % dilation || at / dilation >= n ? -1 : at / dilation;
  };
  for (let row = 0; row < outHeight; row++) {
    for (let i = 0; i < size; i++) {
      const y = find(row * stride + i, height);
      for (let column = 0; y >= 0 && column < outWidth; column++) {
        const to = (row * outWidth + column) * numOut;
        for (let j = 0; j < size; j++) {
          const place = find(column * stride + j, width);
          for (let c = 0; place >= 0 && c < numIn; c++) {
            const v = x.values[(y * width + place) * numIn + c];
            const from = ((i * size + j) * numIn + c) * numOut;
            for (let o = 0; o < numOut; o++) values[to + o] += v * kernel[from + o];
          }
        }
      }
    }
  }
  return { shape: [outHeight, outWidth, numOut], values };
}

if (typeof module === "object") module.exports = { makeDecoder };
