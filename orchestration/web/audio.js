// The page's ears and mouth: one audio context, the microphone in, the room's sound out through an <audio> element, so
// that the browser's echo canceller knows what the loudspeaker says.

/** What went wrong with the microphone, in words a caller can use. */
export class AudioProblem extends Error {
  constructor(code, title, text) {
    super(text);
    this.code = code;
    this.title = title;
  }
}

const REASONS = {
  NotAllowedError: [
    "microphone_refused",
    "The microphone was refused",
    "Allow it for this page: the sign beside the address, or the browser's settings. Then press Join again.",
  ],
  NotFoundError: [
    "no_microphone",
    "There is no microphone",
    "The browser finds none on this device. Plug one in, or switch it on in the system's settings, and press Join again.",
  ],
  NotReadableError: [
    "microphone_busy",
    "The microphone does not answer",
    "Another program may be using it. Close that one, or choose another microphone, and press Join again.",
  ],
};

/** Why this page can have no microphone at all, or null. */
export function whyNoAudio() {
  if (!window.isSecureContext) {
    const port = location.port || "80";
    return new AudioProblem(
      "insecure",
      "This page came over plain http",
      `Browsers give the microphone only to pages that come over https or from localhost, not to ${location.origin}. ` +
        `Put https in front of the server, or bring it to your own machine with ` +
        `“ssh -L ${port}:localhost:${port} ${location.hostname}” and open http://localhost:${port} there.`,
    );
  }
  if (!navigator.mediaDevices?.getUserMedia || !window.AudioWorkletNode) {
    return new AudioProblem(
      "unsupported",
      "This browser cannot do it",
      "It has no microphone access or no AudioWorklet. A current Chrome, Edge, Firefox or Safari has both.",
    );
  }
  return null;
}

export class Sound extends EventTarget {
  #context = null;
  #player;
  #capture = null;
  #playback = null;
  #source = null;
  #stream = null;
  #output = null;
  #muted = false;

  constructor(player) {
    super();
    this.#player = player;
    navigator.mediaDevices?.addEventListener?.("devicechange", () => this.#told("devices"));
  }

  #told(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  /** To be called from a click, which is what lets a page make sound. Returns the ports for the link. */
  async open({ microphone, speaker }) {
    const problem = whyNoAudio();
    if (problem) throw problem;
    this.#context ??= new AudioContext({ latencyHint: "interactive" });
    const context = this.#context;
    const running = context.resume();
    await this.useMicrophone(microphone);
    await this.#load("capture-worklet.js", "playback-worklet.js");
    this.#capture = new AudioWorkletNode(context, "capture", { channelCount: 1, channelCountMode: "explicit" });
    this.#playback = new AudioWorkletNode(context, "playback", { numberOfInputs: 0, outputChannelCount: [1] });
    this.#capture.port.onmessage = ({ data }) => this.#told("level", data.level);
    this.#capture.connect(context.destination); // silent; keeps it running
    this.#source.connect(this.#capture);
    this.#output = context.createMediaStreamDestination();
    this.#output.channelCount = 1;
    this.#playback.connect(this.#output);
    this.#player.srcObject = this.#output.stream;
    await this.useSpeaker(speaker);
    await Promise.all([running, this.#player.play()]);
    return { capture: this.#port(this.#capture), player: this.#port(this.#playback) };
  }

  async #load(...files) {
    try {
      await Promise.all(files.map((file) => this.#context.audioWorklet.addModule(new URL(file, import.meta.url))));
    } catch (error) {
      throw new AudioProblem(
        "unreachable",
        "The server does not answer",
        `A part of this page could not be loaded. Is the server still running? Then press Join again. (${error.message})`,
      );
    }
  }

  #port(node) {
    const { port1, port2 } = new MessageChannel();
    node.port.postMessage({ link: port1 }, [port1]);
    return port2;
  }

  async useMicrophone(id) {
    const wanted = { channelCount: 1, echoCancellation: true, noiseSuppression: true, autoGainControl: true };
    const ask = (deviceId) => navigator.mediaDevices.getUserMedia({ audio: { ...wanted, deviceId } });
    let stream;
    try {
      stream = await ask(id ? { exact: id } : undefined).catch((error) => {
        if (id && ["OverconstrainedError", "NotFoundError"].includes(error.name)) return ask(undefined);
        throw error;
      });
    } catch (error) {
      const reason = REASONS[error.name] ?? ["microphone_failed", "The microphone failed", `The browser says: ${error.message}`];
      throw new AudioProblem(...reason);
    }
    this.#release();
    this.#stream = stream;
    const [track] = stream.getAudioTracks();
    track.enabled = !this.#muted;
    track.onended = () => this.#told("unplugged");
    this.#source = this.#context.createMediaStreamSource(stream);
    if (this.#capture) this.#source.connect(this.#capture);
    this.#told("devices");
  }

  #release() {
    this.#source?.disconnect();
    this.#source = null;
    for (const track of this.#stream?.getTracks() ?? []) {
      track.onended = null;
      track.stop();
    }
    this.#stream = null;
  }

  get canChooseSpeaker() {
    return typeof this.#player.setSinkId === "function";
  }

  async useSpeaker(id) {
    if (!this.canChooseSpeaker) return;
    try {
      await this.#player.setSinkId(id ?? "");
    } catch {
      await this.#player.setSinkId(""); // it is gone: the system's choice
    }
  }

  set muted(muted) {
    this.#muted = muted;
    for (const track of this.#stream?.getAudioTracks() ?? []) track.enabled = !muted;
  }

  get muted() {
    return this.#muted;
  }

  /** Seconds from the playback worklet to the ear, as far as the browser knows. */
  get latency() {
    const { baseLatency = 0, outputLatency = 0 } = this.#context ?? {};
    return Math.min(2, baseLatency + outputLatency);
  }

  /** The devices that can be chosen: [{id, label}] of each kind. */
  async devices() {
    const all = (await navigator.mediaDevices?.enumerateDevices?.()) ?? [];
    const named = (kind) => all.filter((d) => d.kind === kind && d.label).map((d) => ({ id: d.deviceId, label: d.label }));
    return { microphones: named("audioinput"), speakers: named("audiooutput") };
  }

  /** The browser may have put the context to sleep (a phone call, a locked screen); a click wakes it. */
  wake() {
    if (this.#context?.state !== "running") this.#context?.resume();
  }

  async close() {
    this.#release();
    this.#player.srcObject = null;
    this.#capture?.disconnect();
    this.#playback?.disconnect();
    this.#capture = this.#playback = null;
    const context = this.#context;
    this.#context = null;
    await context?.close();
  }
}
