// Put into the page before anything else: records the microphone and the ear, and can speak. See chromium.py.
(() => {
  const RATE = 16000;
  const BLOCK = 4096;
  const original = navigator.mediaDevices?.getUserMedia?.bind(navigator.mediaDevices);
  if (!original) return;
  const blocks = [];
  let context, node, mixer, next;

  // A script processor and not a worklet, because the page's content policy allows no modules but its own.
  function start() {
    context = new AudioContext({ sampleRate: RATE });
    node = context.createChannelMerger(2);
    const recorder = context.createScriptProcessor(BLOCK, 2, 1);
    recorder.onaudioprocess = ({ inputBuffer, playbackTime }) => {
      const at = Math.round(playbackTime * RATE);
      while (next !== undefined && next + BLOCK <= at) {
        blocks.push(new Int16Array(2 * BLOCK)); // the page was too busy to give it
        next += BLOCK;
      }
      next = at + BLOCK;
      const block = new Int16Array(2 * BLOCK);
      for (const side of [0, 1]) {
        const samples = inputBuffer.getChannelData(side);
        for (let i = 0; i < BLOCK; i += 1) block[2 * i + side] = Math.round(32767 * Math.max(-1, Math.min(1, samples[i])));
      }
      blocks.push(block);
    };
    node.connect(recorder);
    recorder.connect(context.destination);
  }

  navigator.mediaDevices.getUserMedia = async (wanted) => {
    const stream = await original(wanted);
    if (!context) start();
    const source = context.createMediaStreamSource(stream);
    if (!SPEAKS) {
      source.connect(node, 0, 0);
      return stream;
    }
    mixer ??= context.createGain();
    source.connect(mixer);
    mixer.connect(node, 0, 0);
    const out = context.createMediaStreamDestination();
    mixer.connect(out);
    const [track] = out.stream.getAudioTracks();
    const stop = track.stop.bind(track);
    track.stop = () => {
      stop();
      for (const real of stream.getTracks()) real.stop();
      source.disconnect();
    };
    return out.stream;
  };

  const media = Object.getOwnPropertyDescriptor(HTMLMediaElement.prototype, "srcObject");
  Object.defineProperty(HTMLMediaElement.prototype, "srcObject", {
    ...media,
    set(stream) {
      media.set.call(this, stream);
      if (stream?.getAudioTracks().length && node) context.createMediaStreamSource(stream).connect(node, 0, 1);
    },
  });

  function unpack(text) {
    const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    return Float32Array.from(new Int16Array(bytes.buffer), (v) => v / 32768);
  }

  window.__sottovoce = {
    now: () => context?.currentTime ?? 0,
    seconds: () => (blocks.length * BLOCK) / RATE,
    pause: () => new Promise((resolve) => setTimeout(resolve, 20)),
    async say(text, at) {
      const samples = unpack(text);
      const buffer = context.createBuffer(1, samples.length, RATE);
      buffer.copyToChannel(samples, 0);
      const voice = new AudioBufferSourceNode(context, { buffer });
      voice.connect(mixer);
      const began = Math.max(at ?? 0, context.currentTime + 0.02);
      const over = new Promise((resolve) => (voice.onended = resolve));
      voice.start(began);
      await over;
      return began;
    },
    async recording() {
      const whole = new Int16Array(blocks.reduce((sum, block) => sum + block.length, 0));
      let at = 0;
      for (const block of blocks) {
        whole.set(block, at);
        at += block.length;
      }
      const url = await new Promise((resolve) => {
        const reader = new FileReader();
        reader.onload = () => resolve(reader.result);
        reader.readAsDataURL(new Blob([whole]));
      });
      return url.slice(url.indexOf(",") + 1);
    },
  };
})();
