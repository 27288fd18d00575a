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

// Each with the variable in which its test finds the address.
programs! {
    acks: "ACKS",
    echo: "ECHO",
    engine_echo: "ENGINE_ECHO",
    limits: "LIMITS",
    poll: "POLL",
    rooms: "ROOMS",
    tenants: "TENANTS",
    token: "TOKEN",
    upload: "UPLOAD",
}
