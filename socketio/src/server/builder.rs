//! The description of a server.

use super::{
    Application, Server, Shared,
    handle::NamespaceHandle,
    live::Common,
    namespace::Namespace,
    namespaces::{Admits, Dynamic, NamespaceHook, NamespaceRequest, Namespaces},
    policy::{LimitExceeded, Policy},
};
use crate::{
    adapter::{Adapter, InMemory, Local, Recovery},
    limits::{Excess, Limits},
    parser::{Format, Parser},
};
use bytes::Bytes;
use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

/// Describes a server; see [`Server::builder`].
#[must_use = "a builder does nothing until `build`"]
pub struct ServerBuilder {
    engine: engineio::ServerBuilder,
    config: engineio::Config,
    path: String,
    namespaces: HashMap<Arc<str>, Namespace>,
    dynamic: Vec<Dynamic>,
    every_namespace: Vec<Box<dyn Fn() -> Namespace + Send + Sync>>,
    on_namespace: Option<NamespaceHook>,
    cleanup: bool,
    connect_timeout: Duration,
    limits: Limits,
    on_limit: Option<LimitHook>,
    recovery: Option<Recovery>,
    adapters: Option<Adapters>,
    parser: Option<Arc<dyn Parser>>,
}

type LimitHook = Box<dyn Fn(&LimitExceeded<'_>) -> Excess + Send + Sync>;
type Adapters = Box<dyn Fn(Local) -> Arc<dyn Adapter> + Send + Sync>;

impl Default for ServerBuilder {
    fn default() -> Self {
        Self {
            engine: engineio::Server::builder(),
            config: engineio::Config::default(),
            path: "/socket.io/".to_owned(),
            namespaces: HashMap::new(),
            dynamic: Vec::new(),
            every_namespace: Vec::new(),
            on_namespace: None,
            cleanup: true,
            connect_timeout: Duration::from_secs(45),
            limits: Limits::default(),
            on_limit: None,
            recovery: None,
            adapters: None,
            parser: None,
        }
    }
}

impl ServerBuilder {
    /// Configures the Engine.IO server. Its path is not used, see [`path`](Self::path).
    pub fn engine(mut self, config: engineio::Config) -> Self {
        self.config = config;
        self
    }

    /// Where clients connect; `/socket.io/` by default, as they expect it.
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    /// Adds a hook that sees, and may refuse, every request that opens a connection; several run in order.
    pub fn handshake(mut self, hook: impl engineio::HandshakeHook) -> Self {
        self.engine = self.engine.handshake(hook);
        self
    }

    /// Answers requests for other paths; 404 by default.
    pub fn fallback<F, Fut>(mut self, answer: F) -> Self
    where
        F: Fn(http::Request<Bytes>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = http::Response<Bytes>> + Send + 'static,
    {
        self.engine = self.engine.fallback(answer);
        self
    }

    /// Changes what the Engine.IO server can be told beyond its configuration and hooks: headers of its
    /// responses, how ids are made, who hears of refused requests.
    pub fn map_engine(
        mut self,
        change: impl FnOnce(engineio::ServerBuilder) -> engineio::ServerBuilder,
    ) -> Self {
        self.engine = change(self.engine);
        self
    }

    /// Adds a namespace. Without one for `/`, that is there but empty; others that are not added cannot be
    /// joined.
    ///
    /// # Panics
    ///
    /// If `path` does not start with `/`, contains a comma, or is registered already.
    pub fn namespace(mut self, path: &str, namespace: Namespace) -> Self {
        assert!(path.starts_with('/') && !path.contains(','), "{path:?} cannot be a namespace");
        let earlier = self.namespaces.insert(path.into(), namespace);
        assert!(earlier.is_none(), "namespace {path:?} is registered already");
        self
    }

    /// Adds all namespaces whose path fits a pattern: they come into being when somebody joins them. What is
    /// in braces stands for one part of the path, and is known as [`NamespaceHandle::parameter`]; with a star,
    /// for all that follows.
    ///
    /// A namespace that is registered comes first, then those that are dynamic, in order of registration.
    ///
    /// ```
    /// use socketio::{Namespace, Server, Socket};
    ///
    /// let room = Namespace::new().on_connect(async |socket: Socket| {
    ///     let namespace = socket.namespace_handle();
    ///     println!("somebody is in house {:?}", namespace.parameter("house"));
    /// });
    /// let server = Server::builder().dynamic("/house/{house}/{*room}", room).build();
    /// ```
    ///
    /// # Panics
    ///
    /// If the pattern is ill-formed.
    pub fn dynamic(mut self, pattern: &str, namespace: Namespace) -> Self {
        let mut router = matchit::Router::new();
        if let Err(error) = router.insert(pattern, ()) {
            panic!("{pattern:?} cannot be a pattern of namespaces: {error}");
        }
        self.dynamic.push(Dynamic { admits: Admits::Pattern(router), blueprint: namespace.into() });
        self
    }

    /// Adds all namespaces that a function admits: it is asked whenever somebody wants to join one.
    ///
    /// ```
    /// use serde::Deserialize;
    /// use socketio::{Namespace, NamespaceRequest, Server};
    ///
    /// #[derive(Default, Deserialize)]
    /// struct Auth {
    ///     tenant: String,
    /// }
    ///
    /// async fn own_tenant(request: NamespaceRequest) -> bool {
    ///     let tenant = request.auth::<Auth>().unwrap_or_default().tenant;
    ///     request.path().strip_prefix("/tenant/") == Some(&tenant)
    /// }
    ///
    /// let server = Server::builder().dynamic_if(own_tenant, Namespace::new()).build();
    /// ```
    pub fn dynamic_if<F, Fut>(mut self, admits: F, namespace: Namespace) -> Self
    where
        F: Fn(NamespaceRequest) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = bool> + Send + 'static,
    {
        let admits = Admits::Predicate(Box::new(move |request| Box::pin(admits(request))));
        self.dynamic.push(Dynamic { admits, blueprint: Arc::new(namespace) });
        self
    }

    /// Puts what `base` makes first in, and around, every namespace, whenever that is added: what it has comes before
    /// what a namespace itself has. The first such base is the outermost.
    ///
    /// ```
    /// use socketio::{Namespace, Server};
    ///
    /// let base = || Namespace::new().on_error(|socket, error| eprintln!("{}: {error}", socket.id()));
    /// let server = Server::builder().every_namespace(base).namespace("/chat", Namespace::new()).build();
    /// ```
    pub fn every_namespace(mut self, base: impl Fn() -> Namespace + Send + Sync + 'static) -> Self {
        self.every_namespace.push(Box::new(base));
        self
    }

    /// Hears of dynamic namespaces that have just come into being.
    pub fn on_namespace(mut self, hook: impl Fn(&NamespaceHandle) + Send + Sync + 'static) -> Self {
        self.on_namespace = Some(Box::new(hook));
        self
    }

    /// Whether a dynamic namespace ends when its last socket has left; `true` by default, other than with the
    /// official server, as a client could fill the memory with namespaces else.
    pub fn cleanup_empty_child_namespaces(mut self, cleanup: bool) -> Self {
        self.cleanup = cleanup;
        self
    }

    /// How long a client may take to join its first namespace before the connection is closed; 45 s by
    /// default, as the official server.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// What clients may ask for.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Judges clients that cross a [limit](Limits); what they ask for is refused by default. It is called each
    /// time, so it must not block.
    ///
    /// ```
    /// use socketio::{Excess, Limit, Server};
    ///
    /// let server = Server::builder().on_limit(|exceeded| match exceeded.limit {
    ///     Limit::Bytes | Limit::Events => Excess::Close,
    ///     _ => Excess::Refuse,
    /// });
    /// ```
    pub fn on_limit(mut self, hook: impl Fn(&LimitExceeded<'_>) -> Excess + Send + Sync + 'static) -> Self {
        self.on_limit = Some(Box::new(hook));
        self
    }

    /// Lets clients that lose their connection for a short time recover their sockets.
    pub fn recovery(mut self, recovery: Recovery) -> Self {
        self.recovery = Some(recovery);
        self
    }

    /// Makes an adapter for each namespace, for a server that is part of a cluster; [`InMemory`] by default.
    pub fn adapter(mut self, make: impl Fn(Local) -> Arc<dyn Adapter> + Send + Sync + 'static) -> Self {
        self.adapters = Some(Box::new(make));
        self
    }

    /// Speaks a format of the program's choice; clients must use the same.
    pub fn parser(mut self, parser: impl Parser) -> Self {
        self.parser = Some(Arc::new(parser));
        self
    }

    /// Finishes the server. It serves nothing until told what, by [`Server::listen`] or one of its like.
    #[must_use = "a server does nothing until it listens"]
    pub fn build(self) -> Server {
        let mut namespaces = self.namespaces;
        namespaces.entry("/".into()).or_default();
        let mut dynamic = self.dynamic;
        for base in self.every_namespace.iter().rev() {
            for namespace in namespaces.values_mut() {
                *namespace = std::mem::take(namespace).on_top_of(base());
            }
            for Dynamic { blueprint, .. } in &mut dynamic {
                let own = Arc::get_mut(blueprint).expect("nobody else has it before the server is there");
                *own = std::mem::take(own).on_top_of(base());
            }
        }
        let recovery = self.recovery;
        let in_memory: Adapters = Box::new(move |_| {
            Arc::new(recovery.as_ref().map_or_else(InMemory::default, InMemory::with_recovery))
        });
        let common = Arc::new(Common {
            format: self
                .parser
                .map_or(Format::Default { max_attachments: self.limits.attachments }, Format::Other),
            policy: Policy::new(self.limits, self.on_limit),
            recovery,
            adapters: self.adapters.unwrap_or(in_memory),
        });
        let namespaces =
            Namespaces::new(namespaces, dynamic, Arc::clone(&common), self.on_namespace, self.cleanup);
        let shared = Arc::new(Shared {
            namespaces: Arc::new(namespaces),
            common,
            connect_timeout: self.connect_timeout,
        });
        let config = self.config.path(self.path);
        let engine = self.engine.config(config).build(Application(Arc::clone(&shared)));
        Server { engine, shared }
    }
}

impl fmt::Debug for ServerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerBuilder").field("namespaces", &self.namespaces.keys()).finish_non_exhaustive()
    }
}
