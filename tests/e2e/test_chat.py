"""The chat page and the page of live comments, in a browser, as people use them."""

import pytest

pytest.importorskip("selenium")

from browser import CHROMIUM, DRIVER, Browser  # noqa: E402
from deadline import eventually  # noqa: E402
from programs import free_port  # noqa: E402

pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="there is no chromium with its chromedriver"
)


@pytest.fixture
def browsers(tmp_path):
    opened = []

    def start():
        opened.append(Browser(tmp_path / f"browser{len(opened)}"))
        return opened[-1]

    yield start
    for browser in opened:
        browser.close()


def enter(browser, node, name, action="register", password="correct horse"):
    browser.open(node.url + "/")
    browser.type("#login [name=name]", name)
    browser.type("#login [name=password]", password)
    browser.click(f"#login [value={action}]")
    eventually(lambda: browser.text("#state") == "online", what="being online")


def join(browser, room):
    browser.type("#join [name=room]", room)
    browser.click("#join button")
    eventually(lambda: browser.text("#title") == room, what=f"the room {room}")


def say(browser, text):
    browser.type("#compose [name=text]", text)
    browser.click("#compose button")
    browser.shows("#log .text", text)


def written(browser):
    return browser.find("#compose [name=text]").get_property("value")


def unread(browser, list_id, name):
    """The number beside a conversation, as its button has it; None where there is no button. Read at
    one moment: the page makes the list anew."""
    for text in browser.texts(f"#{list_id} button"):
        if text.strip().startswith(name):
            return text.replace(name, "").strip()
    return None


def choose(browser, list_id, name):
    """Clicks on a conversation, once it is in the list."""
    script = (
        "const button = [...document.querySelectorAll(arguments[0])].find("
        "  (each) => each.textContent.trim().startsWith(arguments[1]));"
        "if (button) button.click();"
        "return Boolean(button);"
    )
    eventually(
        lambda: browser.driver.execute_script(script, f"#{list_id} button", name),
        what=f"{name} in the list",
    )


def test_two_users_talk(serve, browsers):
    node = serve("--profile", "chat")
    ann, bob = browsers(), browsers()
    enter(ann, node, "ann")
    enter(bob, node, "bob")

    join(ann, "lobby")
    join(bob, "lobby")
    for browser in ann, bob:
        eventually(lambda: browser.texts("#members li") == ["ann", "bob"], what="both members")
        eventually(lambda: browser.text("#count") == "2 here", what="their number")
    say(ann, "hello, everybody")
    bob.shows("#log .text", "hello, everybody")
    assert bob.texts("#log .who") == ["ann"]
    say(bob, "<img src=x onerror=alert(1)>")
    ann.shows("#log .text", "<img src=x onerror=alert(1)>")

    # In private; the other one has another conversation open and sees a number.
    ann.type("#talk [name=user]", "bob")
    ann.click("#talk button")
    eventually(lambda: ann.text("#title") == "bob", what="the conversation with bob")
    say(ann, "only for you")
    eventually(lambda: unread(bob, "people", "ann") == "1", what="one unread message")
    choose(bob, "people", "ann")
    bob.shows("#log .text", "only for you")
    eventually(lambda: unread(bob, "people", "ann") == "", what="nothing unread")
    say(bob, "and for you")
    ann.shows("#log .text", "and for you")
    assert ann.texts("#log .text") == ["only for you", "and for you"]
    ann.shows("#log .state", "delivered")

    # A page that is loaded again knows who it is, and the node knows what was said.
    ann.driver.refresh()
    eventually(lambda: ann.text("#state") == "online", what="being online again")
    choose(ann, "rooms", "lobby")
    ann.shows("#log .text", "hello, everybody")
    assert ann.texts("#log .text") == ["hello, everybody", "<img src=x onerror=alert(1)>"]
    assert not ann.faults() and not bob.faults()


def test_messages_wait_for_who_is_away(serve, browsers):
    node = serve("--profile", "chat")
    ann, bob = browsers(), browsers()
    enter(bob, node, "bob")
    bob.click("#logout")
    eventually(lambda: bob.is_visible("#login"), what="the door")

    enter(ann, node, "ann")
    ann.type("#talk [name=user]", "bob")
    ann.click("#talk button")
    for number in range(3):
        say(ann, f"message {number}")
    enter(bob, node, "bob", action="login")
    eventually(lambda: unread(bob, "people", "ann") == "3", what="three unread messages")
    choose(bob, "people", "ann")
    eventually(
        lambda: bob.texts("#log .text") == [f"message {number}" for number in range(3)],
        what="the messages in order",
    )


def test_a_page_comes_back_with_its_node(serve, browsers, tmp_path):
    port = free_port()
    flags = (
        *("--profile", "chat"),
        *("--accounts", f"sqlite:{tmp_path}/accounts"),
        *("--messages", f"sqlite:{tmp_path}/messages"),
    )
    node = serve(*flags, listen=f"127.0.0.1:{port}")
    ann, bob = browsers(), browsers()
    for browser, name in (ann, "ann"), (bob, "bob"):
        enter(browser, node, name)
        join(browser, "lobby")
    say(ann, "before")
    bob.shows("#log .text", "before")
    node.stop()
    for browser in ann, bob:
        eventually(lambda: browser.text("#state") == "reconnecting…", what="the notice")
    bob.type("#compose [name=text]", "too early")
    bob.click("#compose button")
    eventually(lambda: bob.text("#note") == "not connected", what="what is wrong")
    serve(*flags, listen=f"127.0.0.1:{port}")
    for browser in ann, bob:
        eventually(lambda: browser.text("#state") == "online", seconds=40, what="the return")
        eventually(lambda: browser.text("#note") == "", what="nothing wrong any more")
    assert written(bob) == "too early"
    for browser in ann, bob:
        eventually(lambda: browser.text("#count") == "2 here", what="both in the room")
    say(bob, "after")
    ann.shows("#log .text", "after")
    assert ann.texts("#log .text") == ["before", "after"]


def test_what_is_written_for_one_is_not_said_to_another(serve, browsers):
    node = serve("--profile", "chat")
    ann = browsers()
    enter(ann, node, "ann")
    join(ann, "lobby")
    ann.type("#compose [name=text]", "for the room")
    ann.type("#talk [name=user]", "bob")
    ann.click("#talk button")
    eventually(lambda: ann.text("#title") == "bob", what="the conversation with bob")
    assert written(ann) == ""
    ann.type("#compose [name=text]", "for bob")
    ann.click("#compose button")
    eventually(lambda: "no_such_user" in ann.text("#note"), what="what is wrong")
    assert written(ann) == "for bob"
    choose(ann, "rooms", "lobby")
    assert (written(ann), ann.text("#note")) == ("for the room", "")


def test_a_fault_is_seen_where_no_conversation_is_open(serve, browsers):
    node = serve("--profile", "chat")
    ann = browsers()
    enter(ann, node, "ann")
    node.stop()
    eventually(lambda: ann.text("#state") == "reconnecting…", what="the notice")
    ann.type("#talk [name=user]", "bob")
    ann.click("#talk button")
    eventually(lambda: ann.text("#note") == "not connected", what="what is wrong")
    ann.click("#leave")
    ann.type("#join [name=room]", "lobby")
    ann.click("#join button")
    eventually(lambda: ann.text("#nothing .fault") == "not connected", what="what is wrong")


def test_the_page_fits_on_a_telephone(serve, browsers):
    node = serve("--profile", "chat")
    ann = browsers()
    ann.resize(390, 844)
    enter(ann, node, "ann")
    join(ann, "lobby")
    for number in range(8):
        say(ann, f"message {number}, " + "and what else there is to say " * 8)
    top, bottom = ann.driver.execute_script(
        "return [document.querySelector('nav').getBoundingClientRect().top,"
        " innerHeight - document.querySelector('#compose').getBoundingClientRect().bottom]"
    )
    assert top >= 0 and bottom >= 0


def test_the_door_says_what_is_wrong(serve, browsers):
    node = serve("--profile", "chat")
    ann = browsers()
    enter(ann, node, "ann")
    ann.click("#logout")
    eventually(lambda: ann.is_visible("#login"), what="the door")
    for action, password in ("login", "wrong password"), ("register", "correct horse"):
        ann.type("#login [name=name]", "ann")
        ann.type("#login [name=password]", password)
        ann.click(f"#login [value={action}]")
        eventually(lambda: ann.text("#login .fault"), what="a fault")
        assert not ann.is_visible("#chat")


def test_what_came_first_hides_nothing_that_was_missed(serve, browsers):
    node = serve("--profile", "chat")
    ann, bob = browsers(), browsers()
    for browser, name in (ann, "ann"), (bob, "bob"):
        enter(browser, node, name)
        join(browser, "lobby")
    bob.driver.execute_script(
        "window.Real = WebSocket; window.send = Real.prototype.send;"
        "Real.prototype.send = function (text) { window.last = this; send.call(this, text); };"
    )
    say(bob, "before")
    bob.driver.execute_script(
        "window.WebSocket = function () { return new Real('ws://127.0.0.1:1/'); };"
        "last.close();"
    )
    eventually(lambda: bob.text("#state") == "reconnecting…", what="the notice")
    say(ann, "missed")
    # Back again, bob's page hears the next message before it has asked for what it missed.
    bob.driver.execute_script(
        "window.held = [];"
        "Real.prototype.send = function (text) {"
        "  if (text.includes('\"what\":\"room\"')) held.push(() => send.call(this, text));"
        "  else send.call(this, text);"
        "};"
        "window.WebSocket = Real;"
    )
    eventually(lambda: bob.driver.execute_script("return held.length"), what="what it asks first")
    say(ann, "after")
    bob.shows("#log .text", "after")
    bob.driver.execute_script(
        "Real.prototype.send = send; for (const go of held) go();"
    )
    bob.shows("#log .text", "missed")
    assert bob.texts("#log .text") == ["before", "missed", "after"]


def test_who_leaves_makes_room_for_the_next(serve, browsers):
    node = serve("--profile", "chat")
    page = browsers()
    enter(page, node, "Ann")
    join(page, "lobby")
    say(page, "mine")
    # The next one comes while the connection of the last has not said yet that it is closed.
    page.driver.execute_script(
        "window.late = [];"
        "WebSocket.prototype.close = function () { window.late.push(this); };"
    )
    page.click("#logout")
    eventually(lambda: page.is_visible("#login"), what="the door")
    page.type("#login [name=name]", "bob")
    page.type("#login [name=password]", "correct horse")
    page.click("#login [value=register]")
    eventually(lambda: page.text("#state") == "online", what="being online")
    page.driver.execute_script(
        "for (const socket of window.late) socket.onclose({ code: 1000, reason: '' });"
    )
    assert page.is_visible("#chat") and page.text("#me") == "bob"
    assert page.text("#rooms") == ""

    # However the name is written, it is the account's.
    page.click("#logout")
    eventually(lambda: page.is_visible("#login"), what="the door")
    enter(page, node, "aNN", action="login")
    assert page.text("#me") == "Ann"
    assert not page.faults()


def test_a_room_that_is_refused_keeps_nobody_away(serve, browsers, tmp_path):
    port = free_port()
    flags = ("--profile", "chat", "--accounts", f"sqlite:{tmp_path}/accounts")
    node = serve(*flags, listen=f"127.0.0.1:{port}")
    page = browsers()
    enter(page, node, "ann")
    for room in "one", "two":
        join(page, room)
    node.stop()
    eventually(lambda: page.text("#state") == "reconnecting…", what="the notice")
    serve(*flags, "--gateway-limit-rooms", "1", listen=f"127.0.0.1:{port}")
    eventually(lambda: page.text("#state") == "online", seconds=40, what="the return")
    eventually(lambda: "limit" in page.text("#note"), what="what was refused")


def test_comments_fly_in_batches(serve, browsers):
    node = serve("--profile", "live")
    pages = browsers(), browsers()
    for page in pages:
        page.open(node.url + "/")
        eventually(lambda: page.text("#state") == "live", what="being live")
    for number in range(20):
        pages[0].type("#comment [name=text]", f"comment {number}")
        pages[0].click("#comment button")
    for page in pages:
        eventually(lambda: page.text("#shown") == "20", what="all comments")
        assert page.text("#missed") == "0"
        assert f"comment {19}" in page.texts(".comment")
        eventually(lambda: page.text("#viewers") == "2", what="two who watch")
    assert not pages[0].faults()
