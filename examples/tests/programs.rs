//! The small examples do what they say, with the official clients.

mod running;

use running::Running;

macro_rules! programs {
    ($($name:ident: $variable:literal,)*) => {$(
        #[test]
        fn $name() {
            let program = Running::start(env!(concat!("CARGO_BIN_EXE_", stringify!($name))));
            let test = concat!("examples/", stringify!($name), ".test.mjs");
            conformance::javascript::run(test, &[($variable, &program.url)]);
        }
    )*};
}

/// Its test also starts one of its own, to end it as Ctrl-C does.
#[test]
fn limits() {
    let program = env!("CARGO_BIN_EXE_limits");
    let running = Running::start(program);
    let environment = [("LIMITS", running.url.as_str()), ("LIMITS_PROGRAM", program)];
    conformance::javascript::run("examples/limits.test.mjs", &environment);
}

/// Its test starts it, as it has more addresses than one, and ends it as Ctrl-C does.
#[test]
fn express_login() {
    let environment = [("EXPRESS_LOGIN_PROGRAM", env!("CARGO_BIN_EXE_express_login"))];
    conformance::javascript::run("examples/express_login.test.mjs", &environment);
}

// Each with the variable in which its test finds the address.
programs! {
    acks: "ACKS",
    echo: "ECHO",
    engine_echo: "ENGINE_ECHO",
    poll: "POLL",
    rooms: "ROOMS",
    tenants: "TENANTS",
    token: "TOKEN",
    upload: "UPLOAD",
}
