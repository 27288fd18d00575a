/** The page, as Express sees the session. What a socket changes in it, the next request shows. */
export function page({ user, cart, sockets }) {
  return `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="color-scheme" content="light dark">
    <title>One login</title>
    <link rel="icon" href="data:,">
    <link rel="stylesheet" href="/page/style.css">
    <script src="/client/socket.io.min.js" defer></script>
    <script src="/page/page.js" type="module" data-sockets="${escape(sockets)}" id="page"></script>
  </head>
  <body>
    <h1>One login</h1>
    <section>
      <h2>Express says</h2>
      ${user === undefined ? LOGIN : loggedIn(user)}
      <p>Cart: <b id="express-cart">${escape(cart.join(", ") || "empty")}</b></p>
      <a href="/">Load again</a>
    </section>
    <section>
      <h2>The socket, served by Rust, says</h2>
      <p id="socket-user" role="status">connecting …</p>
      <p>Cart: <b id="socket-cart">…</b></p>
      <form id="add">
        <input name="item" maxlength="30" placeholder="Apples" aria-label="Item" autocomplete="off" required>
        <button>Add to the cart</button>
      </form>
      <p id="error" role="alert"></p>
    </section>
  </body>
</html>
`;
}

const LOGIN = `<form method="post" action="/login">
        <input name="user" maxlength="30" placeholder="Your name" aria-label="Your name" required>
        <button>Log in</button>
      </form>`;

const loggedIn = (user) => `<form method="post" action="/logout">
        <p>Hello <b id="express-user">${escape(user)}</b></p>
        <button>Log out</button>
      </form>`;

function escape(text) {
  return String(text).replace(/[&<>"']/g, (character) => `&#${character.codePointAt(0)};`);
}
