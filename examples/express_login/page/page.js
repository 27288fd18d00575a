// The page's script: a socket on another port, with the cookie that Express has set.
const element = (id) => document.getElementById(id);
const { sockets } = element("page").dataset;
const socket = io(sockets, { withCredentials: true, reconnectionDelay: 100 });

/** What the server sends when the socket connects, and whenever the session changes, whoever has changed it. */
socket.on("session", ({ user, cart }) => {
  element("socket-user").textContent = user ? `You are ${user}.` : "I do not know you.";
  element("socket-cart").textContent = cart.join(", ") || "empty";
});

socket.on("disconnect", () => (element("socket-user").textContent = "Disconnected: the session has ended."));
socket.on("connect_error", ({ message }) => (element("socket-user").textContent = `No connection: ${message}`));

element("add").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  const { error } = await socket.emitWithAck("add", form.item.value);
  element("error").textContent = error ?? "";
  form.reset();
});
