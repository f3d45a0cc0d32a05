//! Serves the API in memory on a port, to be looked at with kubectl or curl:
//! `cargo run -p trimtab-apiserver --example serve -- 127.0.0.1:8080`.

use tokio::net::TcpListener;
use trimtab_apiserver::{ApiServer, Config};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let listener = TcpListener::bind(&address).await.map_err(|error| {
        std::io::Error::new(error.kind(), format!("{address} cannot be listened on ({error}); port 0 takes a free one"))
    })?;
    println!("kubectl --server http://{} get namespaces", listener.local_addr()?);
    ApiServer::new(Config::default()).serve(listener, std::future::pending()).await
}
