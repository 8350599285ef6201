"use strict";
// The explorer of maps, masks and scores. The functions up to `mount` compute what the library computes, on the same numbers;
// each names its counterpart. Shapes: n classes in the image, K steps, h x w positions, H x W pixels.
(() => {
  const VOID = 255;
  const STRIDE = 16; // pixels of a position
  const EPSILON = 1e-5; // method/maps.py

  function decode(text) {
    return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  }

  // [K, n, h, w] -> [n, h, w]: the sum of the first maps (method/maps.py: aggregate, "raw").
  function sum(packed, steps) {
    const [all, ...shape] = packed.shape;
    const size = shape.reduce((a, b) => a * b);
    const total = new Float64Array(size);
    for (let k = 0; k < Math.min(steps, all); k++) {
      for (let i = 0; i < size; i++) total[i] += packed.values[k * size + i] * packed.unit;
    }
    return total;
  }

  // For every pixel of a side: the positions before and after it, and the weight of the latter.
  function weights(positions, pixels) {
    return Array.from({ length: pixels }, (_, pixel) => {
      const at = Math.max((pixel + 0.5) / STRIDE - 0.5, 0);
      const before = Math.min(Math.floor(at), positions - 1);
      return [before, Math.min(before + 1, positions - 1), at - before];
    });
  }

  // One map [h, w] -> [H, W] in 0..1: bilinear, cropped, divided by its maximum (method/maps.py: seed_maps at stride 1).
  function resize(map, [h, w], [H, W]) {
    const result = new Float32Array(H * W);
    const columns = weights(w, W);
    let top = 0;
    weights(h, H).forEach(([up, down, below], y) => {
      columns.forEach(([left, right, beside], x) => {
        const upper = map[up * w + left] * (1 - beside) + map[up * w + right] * beside;
        const lower = map[down * w + left] * (1 - beside) + map[down * w + right] * beside;
        const value = upper * (1 - below) + lower * below;
        result[y * W + x] = value;
        if (value > top) top = value;
      });
    });
    return result.map((value) => value / (top + EPSILON));
  }

  // The maps [H, W] in 0..1 of an image's classes.
  function maps(example, packed, steps) {
    const [, n, h, w] = packed.shape;
    const total = sum(packed, steps);
    return Array.from({ length: n }, (_, c) => resize(total.subarray(c * h * w, (c + 1) * h * w), [h, w], example.size));
  }

  // The mask [H, W] (masks/labelling.py: mask_of): the value of the class with the largest map above the threshold, else 0.
  function mask(classMaps, values, threshold) {
    const result = new Uint8Array(classMaps[0].length);
    for (let i = 0; i < result.length; i++) {
      let largest = 0;
      for (let c = 1; c < classMaps.length; c++) if (classMaps[c][i] > classMaps[largest][i]) largest = c;
      if (classMaps[largest][i] > threshold) result[i] = values[largest];
    }
    return result;
  }

  // Mean IoU over the classes in truth or mask, with the background (evaluation/metrics.py: ConfusionMatrix).
  function miou(truth, predicted) {
    const hits = new Float64Array(256);
    const either = new Float64Array(256);
    for (let i = 0; i < truth.length; i++) {
      if (truth[i] === VOID) continue;
      either[truth[i]]++;
      if (truth[i] === predicted[i]) hits[truth[i]]++;
      else either[predicted[i]]++;
    }
    const present = Array.from(either.keys()).filter((value) => either[value] > 0);
    return present.reduce((total, value) => total + hits[value] / either[value], 0) / present.length;
  }

  // The data as typed arrays.
  function unpack(data) {
    for (const example of data.examples) {
      for (const packed of example.maps) packed.values = new Uint16Array(decode(packed.data).buffer);
      const truth = new Uint8Array(example.size[0] * example.size[1]);
      let start = 0;
      for (const [value, count] of example.truth) truth.fill(value, start, (start += count));
      example.truth = truth;
    }
    data.colors = decode(data.colors);
    return data;
  }

  // What one position of the sliders shows.
  function state(data, chosen) {
    const example = data.examples[chosen.image];
    const classMaps = maps(example, example.maps[chosen.tau], chosen.steps);
    const predicted = mask(classMaps, example.values, chosen.threshold);
    return { example, classMaps, predicted, score: miou(example.truth, predicted) };
  }

  function grey(pixels, i) {
    return (pixels[4 * i] + pixels[4 * i + 1] + pixels[4 * i + 2]) / 3;
  }

  // Draws, over the grey image, at each pixel the colour and opacity that `paint` returns; undefined: nothing.
  function draw(canvas, picture, [H, W], paint) {
    canvas.width = W;
    canvas.height = H;
    const context = canvas.getContext("2d");
    context.drawImage(picture, 0, 0, W, H);
    const content = context.getImageData(0, 0, W, H);
    for (let i = 0; i < H * W; i++) {
      const base = grey(content.data, i);
      const [color, opacity] = paint(i) || [[0, 0, 0], 0];
      for (let channel = 0; channel < 3; channel++) {
        content.data[4 * i + channel] = base * (1 - opacity) + color[channel] * opacity;
      }
    }
    context.putImageData(content, 0, 0);
  }

  // Whether the pixel to the right or below belongs to another class; the void border of an object counts as background.
  function isEdge(truth, i, W) {
    const value = (place) => (truth[place] === VOID ? 0 : truth[place]);
    const [right, below] = [(i + 1) % W ? i + 1 : i, i + W < truth.length ? i + W : i];
    return value(i) !== value(right) || value(i) !== value(below);
  }

  function show(box, data, pictures, chosen) {
    const { example, classMaps, predicted, score } = state(data, chosen);
    const [left, right] = box.querySelectorAll("canvas");
    const picture = pictures[chosen.image];
    draw(left, picture, example.size, (i) => {
      const heat = Math.min(Math.max(...classMaps.map((map) => map[i])), 1);
      const place = 3 * Math.round(255 * heat);
      return [data.colors.subarray(place, place + 3), Math.min(1.2 * heat, 0.75)];
    });
    draw(right, picture, example.size, (i) => {
      if (isEdge(example.truth, i, example.size[1])) return [[255, 255, 255], 1];
      const value = example.values.indexOf(predicted[i]);
      return value < 0 ? undefined : [example.palette[value], 0.6];
    });
    const cam = state(data, { ...chosen, steps: 1 }).score;
    const compared = chosen.steps === 1 ? "this is the CAM, whatever tau is" : `the CAM at this threshold: ${cam.toFixed(3)}`;
    box.querySelector(".explorer-score").textContent = `mIoU ${score.toFixed(3)} (${compared})`;
  }

  function mount(box, data) {
    const pictures = data.examples.map((example) => Object.assign(new Image(), { src: example.image }));
    const select = box.querySelector("select");
    const inputs = Object.fromEntries(Array.from(box.querySelectorAll("input"), (input) => [input.name, input]));
    inputs.tau.max = data.taus.length - 1;
    const update = () => {
      const example = data.examples[select.value];
      inputs.steps.max = Math.max(...example.maps.map((packed) => packed.shape[0]));
      const numbers = { image: Number(select.value) };
      for (const [name, input] of Object.entries(inputs)) {
        numbers[name] = Number(input.value);
        const text = name === "tau" ? String(data.taus[numbers.tau]) : input.value;
        input.parentNode.querySelector("output").textContent = text;
        input.setAttribute("aria-valuetext", text);
      }
      show(box, data, pictures, numbers);
    };
    let waiting = false; // at most one drawing for each frame, however fast the slider moves
    const later = () => {
      if (waiting) return;
      waiting = true;
      requestAnimationFrame(() => {
        waiting = false;
        update();
      });
    };
    box.hidden = false;
    inputs.tau.value = Math.max(data.taus.indexOf(0.4), 0);
    inputs.steps.value = inputs.steps.max = data.examples[0].maps[0].shape[0];
    box.addEventListener("input", later);
    Promise.all(pictures.map((picture) => picture.decode())).then(update);
  }

  if (typeof module !== "undefined") {
    module.exports = { unpack, maps, mask, miou, state };
  } else {
    const elements = document.querySelectorAll(".explorer-data");
    const content = elements[elements.length - 1]; // the one before this script
    mount(content.parentNode.querySelector(".explorer"), unpack(JSON.parse(content.textContent)));
  }
})();
