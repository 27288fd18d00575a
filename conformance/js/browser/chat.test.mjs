// The chat in Chromium: CHAT names its address, CHROMIUM the program, SCREENSHOTS the folder for pictures.
import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { after, before, test } from "node:test";
import { chromium } from "playwright-core";

const { CHAT, CHROMIUM, SCREENSHOTS } = process.env;
// Without these it looks for Google's hosts at every start.
const OFFLINE = ["--disable-quic", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
/** A second, and as much again for a machine that is busy with other tests. */
const LOGOUT_DEADLINE = 2000;

let browser;

before(async () => {
  const args = ["--no-sandbox", "--disable-gpu", "--no-first-run", ...OFFLINE];
  browser = await chromium.launch({ executablePath: CHROMIUM, args });
});
after(() => browser?.close());

function scenario(name, run) {
  test(name, { timeout: 60_000 }, run);
}

/** A browser of one's own, with cookies of its own. */
async function visitor(t, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1100, height: 720 }, ...options });
  context.setDefaultTimeout(10_000);
  t.after(() => context.close());
  return context;
}

/** Opens the chat in a tab and waits until it is connected. Errors of the page fail the scenario. */
async function openTab(context, room = "lobby") {
  const tab = await context.newPage();
  tab.problems = [];
  tab.on("pageerror", (error) => tab.problems.push(error.message));
  tab.on("console", (message) => message.type() === "error" && tab.problems.push(message.text()));
  await tab.goto(`${CHAT}/#${room}`);
  await connected(tab);
  return tab;
}

/** Waits for the upgrade too: when a page goes away, the server sees its WebSocket close, but not a poll that never comes. */
async function connected(tab) {
  await see(tab, '#status[data-state="connected"]', "connected by websocket");
}

async function see(tab, selector, text) {
  await tab.locator(selector).filter({ hasText: text }).first().waitFor();
}

async function logIn(tab, name) {
  // Behind another tab it is slow to be clicked at.
  await tab.bringToFront();
  await tab.getByLabel("Choose a name to write").fill(name);
  await tab.getByRole("button", { name: "Log in" }).click();
  await see(tab, "#user", name);
  await see(tab, "#online li", name);
  await connected(tab);
}

async function logOut(tab) {
  await tab.bringToFront();
  await tab.getByRole("button", { name: "Log out" }).click();
}

/** When the page shows that nobody is logged in, by its own clock. */
function loggedOut(tab) {
  return tab.locator("#login-form").evaluate(
    (form) =>
      new Promise((resolve) => {
        new MutationObserver(() => form.hidden || resolve(Date.now())).observe(form, { attributes: true });
      }),
  );
}

async function say(tab, text) {
  await tab.getByLabel("Message", { exact: true }).fill(text);
  await tab.getByRole("button", { name: "Send" }).click();
}

/** The texts of the messages that a tab shows. */
function messages(tab) {
  return tab.locator("#messages .text").allTextContents();
}

function picture(tab, name) {
  return tab.screenshot({ path: `${SCREENSHOTS}/${name}.png` });
}

scenario("two people chat, and see each other type", async (t) => {
  await mkdir(SCREENSHOTS, { recursive: true });
  const ada = await openTab(await visitor(t));
  const ben = await openTab(await visitor(t, { colorScheme: "dark" }));
  await logIn(ada, "Ada");
  await logIn(ben, "Ben");
  await see(ada, "#online li", "Ben");
  await see(ben, "#online li", "Ada");

  await say(ada, "Hello! Is anybody here?");
  await see(ben, "#messages .text", "Hello! Is anybody here?");
  await say(ben, "I am. The engine runs 😀");
  await see(ada, "#messages .text", "The engine runs");
  await say(ada, "<b>Is this bold?</b>");
  await see(ben, "#messages .text", "<b>Is this bold?</b>");
  assert.equal(await ben.locator("#messages b b").count(), 0);
  await say(ben, "No, and it should not be.");
  await see(ada, "#messages .text", "should not be");
  assert.deepEqual(await messages(ada), await messages(ben));
  assert.equal(await ada.locator("#messages time").first().isVisible(), true);

  await ben.getByLabel("Message", { exact: true }).pressSequentially("One more th");
  await see(ada, "#typing", "Ben is typing");
  await picture(ada, "chat-ada");
  await picture(ben, "chat-ben");
  await ben.getByLabel("Message", { exact: true }).fill("");
  await ada.waitForFunction(() => document.getElementById("typing").textContent === "");
  assert.deepEqual([...ada.problems, ...ben.problems], []);
});

scenario("rooms keep their messages apart, and for those who come later", async (t) => {
  const ada = await openTab(await visitor(t));
  const ben = await openTab(await visitor(t));
  await logIn(ada, "Ada");
  await logIn(ben, "Ben");
  await ada.getByLabel("Name of a new room").fill("  Tea & cake ");
  await ada.getByRole("button", { name: "Create" }).click();
  await see(ada, "#room-title", "Tea & cake");
  await say(ada, "Milk first?");
  await see(ada, "#messages .text", "Milk first?");
  await see(ben, "#rooms button", "Tea & cake");
  assert.equal((await messages(ben)).includes("Milk first?"), false);
  await ben.getByRole("button", { name: "Tea & cake" }).click();
  await see(ben, "#messages .text", "Milk first?");
  assert.deepEqual(await messages(ben), ["Milk first?"]);
  await ben.reload();
  await see(ben, "#messages .text", "Milk first?");
});

/** Waits until a tab shows a count. */
async function counted(tab, name, count) {
  await see(tab, `#${name}`, new RegExp(`^${count}$`));
}

scenario("visits and messages are counted, and the name outlives a reload until logout", async (t) => {
  const tab = await openTab(await visitor(t));
  await counted(tab, "visits", 1);
  assert.equal(await tab.getByLabel("Message", { exact: true }).isDisabled(), true);
  await tab.reload();
  await counted(tab, "visits", 2);
  await logIn(tab, "Cleo");
  await say(tab, "one");
  await counted(tab, "sent", 1);
  await tab.reload();
  await connected(tab);
  await see(tab, "#user", "Cleo");
  await counted(tab, "visits", 3);
  await counted(tab, "sent", 1);
  await see(tab, "#messages .mine .text", "one");
  await see(tab, "#online li", "Cleo");
  await logOut(tab);
  await tab.getByLabel("Choose a name to write").waitFor();
  await tab.locator("#online li", { hasText: "Cleo" }).waitFor({ state: "detached" });
  await counted(tab, "sent", 0);
  await tab.reload();
  await counted(tab, "visits", 4);
  assert.equal(await tab.locator("#logout-form").isVisible(), false);
  assert.deepEqual(tab.problems, []);
});

scenario("two tabs of one visitor share a session, live", async (t) => {
  const context = await visitor(t);
  const one = await openTab(context);
  await counted(one, "visits", 1);
  const other = await openTab(context);
  for (const tab of [one, other]) await counted(tab, "visits", 2);
  await logIn(one, "Dora");
  await see(other, "#user", "Dora");
  await connected(other);
  // Its sockets are logged in, too.
  await say(other, "from my other tab");
  await see(one, "#messages .mine .text", "from my other tab");
  await say(one, "and from this one");
  for (const tab of [one, other]) await counted(tab, "sent", 2);
  assert.equal(await one.locator("#online li", { hasText: "Dora" }).count(), 1);
  for (const [nth, tab] of [one, other].entries()) await picture(tab, `chat-tab-${nth + 1}`);
  assert.deepEqual([...one.problems, ...other.problems], []);
});

scenario("a logout in one tab ends the other within a second", async (t) => {
  const context = await visitor(t);
  const one = await openTab(context);
  const other = await openTab(context);
  await logIn(one, "Dora");
  await see(other, "#user", "Dora");
  await connected(other);
  await say(other, "still here");
  const [answered, shown] = [one.waitForResponse((response) => response.url().endsWith("/logout")), loggedOut(other)];
  await logOut(one);
  const { startTime, responseStart } = (await answered).request().timing();
  const took = Math.round((await shown) - (startTime + responseStart));
  t.diagnostic(`the other tab was logged out ${took} ms after the answer to the logout`);
  assert.ok(took < LOGOUT_DEADLINE, `logged out after ${took} ms`);
  await connected(other);
  assert.equal(await other.getByLabel("Message", { exact: true }).isDisabled(), true);
  await other.locator("#online .guests", { hasText: "2 guests" }).waitFor();
  await picture(other, "chat-logged-out");
  // And back in.
  await logIn(one, "Dora");
  await see(other, "#user", "Dora");
  await connected(other);
  await say(other, "here again");
  await see(one, "#messages .mine .text", "here again");
  assert.deepEqual([...one.problems, ...other.problems], []);
});

scenario("a lost connection is shown, and comes back with what was missed", async (t) => {
  const ada = await openTab(await visitor(t));
  const context = await visitor(t);
  const ben = await openTab(context);
  await logIn(ada, "Ada");
  await context.setOffline(true);
  await ben.evaluate(() => dispatchEvent(new Event("offline")));
  await ben.locator('#status[data-state="offline"]').waitFor();
  await say(ada, "while Ben was away");
  await see(ada, "#messages .text", "while Ben was away");
  await context.setOffline(false);
  await connected(ben);
  await see(ben, "#messages .text", "while Ben was away");
});

scenario("a bad name is refused with words", async (t) => {
  const tab = await openTab(await visitor(t));
  await tab.getByLabel("Choose a name to write").fill("   ");
  await tab.getByRole("button", { name: "Log in" }).click();
  await see(tab, "#session-error", "1 to 30 characters");
});

scenario("it fits a telephone", async (t) => {
  const tab = await openTab(await visitor(t, { viewport: { width: 390, height: 844 } }));
  await logIn(tab, "Eve");
  await say(tab, "on the road");
  await see(tab, "#messages .text", "on the road");
  const overflow = await tab.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(overflow <= 0, `the page is ${overflow} px too wide`);
  await picture(tab, "chat-telephone");
});
