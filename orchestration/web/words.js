// The room's states and reasons in plain words. A reason that is not listed is shown as it came.

export const FLOOR = {
  empty: "Nobody hears",
  user_holds: "The floor is the caller’s",
  agent_audible: "The agent is heard",
  agent_owes: "A reply is owed",
  open: "The floor is open",
};

const BLOCKERS = {
  nobody: () => "nobody is in the room",
  ringing: () => "the telephone is still ringing",
  on_hold: () => "the caller is on hold",
  reconnecting: () => "the connection broke; the room waits for the caller",
  caller_speaking: (who) => `${who} ${is(who)} speaking`,
  caller_paused: (who) => `${who} paused and may go on`,
  digits: (who) => `${who} ${is(who)} pressing keys`,
  question_pending: () => "the agent asked something; an answer may come",
  agent_speaking: () => "the agent is speaking",
  reply_owed: () => "a reply is being made",
  speech_planned: () => "the agent is about to speak",
  buffer: () => "the silence is being measured",
  queue: () => "another result goes first",
  addressee_absent: () => "whoever asked for it does not hear",
  preparing: () => "its words are being made",
  retrying: () => "it failed and is tried again soon",
  lapsed: () => "another server may have the room by now",
};

const SHORT = {
  nobody: "nobody here",
  ringing: "ringing",
  on_hold: "on hold",
  reconnecting: "reconnecting",
  caller_speaking: "caller speaks",
  caller_paused: "caller paused",
  digits: "keys",
  question_pending: "question asked",
  agent_speaking: "agent speaks",
  reply_owed: "reply owed",
  speech_planned: "about to speak",
};

const ENDINGS = {
  heard: "heard",
  superseded: "replaced by a newer one",
  expired: "expired before it could be said",
  refused: "refused",
  cancelled: "cancelled",
  dropped: "dropped after an interruption",
  dead: "set aside",
};

const PRESENCE = {
  ringing: "ringing",
  on_hold: "on hold",
  reconnecting: "reconnecting",
  gone: "left",
};

function is(who) {
  return who === "you" ? "are" : "is";
}

/** Why the floor is not open, as the end of a sentence. `who` holds it ("you" or a name). */
export function because(blocker, who = "the caller") {
  return BLOCKERS[blocker]?.(who) ?? (blocker ? String(blocker).replaceAll("_", " ") : "");
}

/** The same in a word or two, for the timeline. */
export function briefly(blocker) {
  return SHORT[blocker] ?? (blocker ? String(blocker).replaceAll("_", " ") : "");
}

export function presence(state) {
  return PRESENCE[state] ?? "";
}

/** Where a delivery stands, in words. */
export function standing(delivery, floor, who) {
  const { status, reason } = delivery;
  if (status === "queued" || status === "reserved") {
    // Of one that was cut, the reason names who cut it; what its rest waits for is the floor's.
    const why = because(delivery.heard_chars ? floor.blocker : reason || floor.blocker, who);
    const rest = delivery.heard_chars ? "the rest waits" : "waits";
    return why ? `${rest}: ${why}` : `${rest} for a moment of silence`;
  }
  if (status === "speaking") return "is being said";
  const ending = ENDINGS[status] ?? status;
  return reason && status !== "heard" ? `${ending}: ${because(reason, who)}` : ending;
}

/** Who has the conversation: an agent by name, or (null) a person. */
export function withWhom(agent) {
  return agent === null ? "With a person; no agent answers" : `With ${agent}`;
}

/** A handoff in a sentence. */
export function handedOver({ from, to, back }) {
  if (back) return `${from} did not answer; ${to} has the conversation again`;
  return `${from ?? "A person"} handed over to ${to ?? "a person"}`;
}

/** Seconds as a person says them. */
export function duration(seconds) {
  const whole = Math.max(0, seconds);
  if (whole < 10) return `${whole.toFixed(1)} s`;
  if (whole < 60) return `${Math.floor(whole)} s`;
  return `${Math.floor(whole / 60)} min ${Math.floor(whole % 60)} s`;
}

/** Why a call ended by itself: {title, text}. */
export function ending({ code, reason, error, reached }) {
  if (!reached) {
    return { title: "The server does not answer", text: "Nothing answers at this address. Is it still running? Then press Join again." };
  }
  const said = error?.message || reason;
  const text = said ? `${said.charAt(0).toUpperCase()}${said.slice(1)}.` : "";
  switch (code) {
    case 1000:
      return { title: "The call is over", text: text || "The room ended it." };
    case 4403:
      return { title: "The room did not let you in", text };
    case 4409:
      return { title: "You joined somewhere else", text: "Another window or device took over this call. Press Join to bring it back here." };
    case 4429:
      return { title: "Too much sound at once", text: text || "The room ended the call. Press Join to come back." };
    default:
      return { title: "The connection ended", text: text || `The server closed it (${code}). Press Join to come back.` };
  }
}
