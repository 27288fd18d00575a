// The page: what the server tells is put into the document as text, never as HTML.

const FIRST_ROOM = "lobby";
const TYPING_PAUSE = 1500;

const element = (id) => document.getElementById(id);
const socket = io({ autoConnect: false, reconnectionDelay: 100 });
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });

let user = null;
let room = null;
const typing = new Map();

// --- session ------------------------------------------------------------------

async function refreshSession() {
  const response = await fetch("/session").catch(() => null);
  if (response?.ok) showSession(await response.json());
}

async function changeSession(path, body = {}) {
  const response = await fetch(path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  const answer = await response.json();
  element("session-error").textContent = answer.error ?? "";
  if (!response.ok) return;
  showSession(answer);
  // The session is another one now. The server ends the sockets of the old one; this tab need not wait for that.
  socket.disconnect().connect();
}

function showSession({ name, visits, messages }) {
  user = name;
  element("visits").textContent = visits;
  element("sent").textContent = messages;
  element("user").textContent = name ?? "";
  element("login-form").hidden = name !== null;
  element("logout-form").hidden = name === null;
  const message = element("message");
  message.disabled = element("message-form").querySelector("button").disabled = name === null;
  message.placeholder = name === null ? "Log in to write" : "Write a message";
}

element("login-form").addEventListener("submit", (event) => {
  event.preventDefault();
  changeSession("/login", { name: element("login-name").value });
});

element("logout-form").addEventListener("submit", (event) => {
  event.preventDefault();
  changeSession("/logout");
});

/** Another tab, or this one, has changed the session. */
socket.on("session", showSession);

// --- connection -------------------------------------------------------------

function showStatus(state, text) {
  element("status").dataset.state = state;
  element("status").textContent = text;
}

function showTransport() {
  showStatus("connected", `connected by ${socket.io.engine.transport.name}`);
}

socket.on("connect", async () => {
  showTransport();
  socket.io.engine.once("upgrade", showTransport);
  await refreshSession();
  // After a reconnect too: the room's messages are sent again, so nothing that was missed is missing.
  enter(room ?? roomInAddress());
});
socket.on("disconnect", (reason) => {
  if (reason === "io client disconnect") return;
  showStatus("offline", "connection lost, trying again");
  // Perhaps another tab has logged out.
  refreshSession();
});
socket.on("connect_error", () => showStatus("offline", "no connection, trying again"));

// --- rooms ------------------------------------------------------------------

function roomInAddress() {
  try {
    return decodeURIComponent(location.hash.slice(1)) || FIRST_ROOM;
  } catch {
    return FIRST_ROOM;
  }
}

async function enter(name) {
  const answer = await socket.emitWithAck("join", name);
  if (answer.error) return showNotice(answer.error);
  room = answer.room;
  history.replaceState(null, "", `#${encodeURIComponent(room)}`);
  document.title = `${room} · Chat`;
  element("room-title").textContent = `# ${room}`;
  element("messages").replaceChildren(...answer.messages.map(messageItem));
  scrollToEnd();
  typing.clear();
  showTyping();
  markRoom();
}

socket.on("rooms", (names) => {
  element("rooms").replaceChildren(...names.map(roomItem));
  markRoom();
});

function roomItem(name) {
  const button = make("button", { type: "button" }, name);
  button.addEventListener("click", () => enter(name));
  const item = make("li");
  item.append(button);
  return item;
}

function markRoom() {
  for (const button of element("rooms").querySelectorAll("button")) {
    if (button.textContent === room) button.setAttribute("aria-current", "page");
    else button.removeAttribute("aria-current");
  }
}

element("room-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const input = element("room-name");
  enter(input.value);
  input.value = "";
});

window.addEventListener("hashchange", () => roomInAddress() !== room && enter(roomInAddress()));

// --- messages ---------------------------------------------------------------

socket.on("message", (message) => {
  if (message.room !== room) return;
  typing.delete(message.name);
  showTyping();
  element("messages").append(messageItem(message));
  scrollToEnd();
});

function messageItem({ name, text, at }) {
  const item = make("li", { class: name === user ? "message mine" : "message" });
  const avatar = make("span", { class: "avatar", "aria-hidden": "true" }, [...name][0].toUpperCase());
  avatar.style.setProperty("--hue", hue(name));
  const by = make("span", { class: "by" });
  const when = new Date(at);
  by.append(make("b", {}, name), make("time", { datetime: when.toISOString() }, clock.format(when)));
  item.append(avatar, by, make("span", { class: "text" }, text));
  return item;
}

function scrollToEnd() {
  const messages = element("messages");
  messages.scrollTop = messages.scrollHeight;
}

function showNotice(text) {
  element("typing").textContent = text;
}

element("message-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const input = element("message");
  const text = input.value;
  if (!text.trim()) return;
  input.value = "";
  tellTyping(false);
  const answer = await socket.emitWithAck("message", { room, text });
  if (answer.error) showNotice(answer.error);
});

// --- who is typing, who is online --------------------------------------------

let toldTyping = false;
let typingTimer;

function tellTyping(now) {
  clearTimeout(typingTimer);
  if (now) typingTimer = setTimeout(() => tellTyping(false), TYPING_PAUSE);
  if (now === toldTyping) return;
  toldTyping = now;
  socket.volatile.emit("typing", { room, typing: now });
}

element("message").addEventListener("input", (event) => tellTyping(event.target.value !== ""));

socket.on("typing", ({ room: where, name, typing: now }) => {
  if (where !== room) return;
  clearTimeout(typing.get(name));
  typing.delete(name);
  // Whoever vanishes while typing does not type for ever.
  if (now) typing.set(name, setTimeout(() => (typing.delete(name), showTyping()), 4 * TYPING_PAUSE));
  showTyping();
});

function showTyping() {
  const names = [...typing.keys()];
  const verb = names.length === 1 ? "is" : "are";
  element("typing").textContent = names.length ? `${names.join(", ")} ${verb} typing …` : "";
}

socket.on("online", ({ names, guests }) => {
  const items = names.map((name) => {
    const item = make("li", {}, name);
    item.style.setProperty("--hue", hue(name));
    return item;
  });
  if (guests) items.push(make("li", { class: "guests" }, guests === 1 ? "1 guest" : `${guests} guests`));
  element("online").replaceChildren(...items);
});

// --- document ---------------------------------------------------------------

function make(tag, attributes = {}, text = "") {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.textContent = text;
  return made;
}

/** A colour of one's own: the same for a name wherever it appears. */
function hue(name) {
  let sum = 0;
  for (const character of name) sum = (sum * 31 + character.codePointAt(0)) % 360;
  return sum;
}

socket.connect();
