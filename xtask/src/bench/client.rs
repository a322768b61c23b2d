//! A sender: OTLP over gRPC, bytes as they are, so that the sender costs as little as possible.

use bytes::{Buf, BufMut, Bytes};
use http::uri::PathAndQuery;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// Passes messages through as bytes.
#[derive(Default, Clone, Copy)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Raw;
    type Decoder = Raw;

    fn encoder(&mut self) -> Raw {
        Raw
    }

    fn decoder(&mut self) -> Raw {
        Raw
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}

/// One connection.
pub(super) struct Sender {
    grpc: Grpc<Channel>,
    /// Shown with each export.
    token: Option<MetadataValue<Ascii>>,
}

impl Sender {
    /// Connects to `address`, `127.0.0.1:4317`.
    pub(super) async fn connect(address: &str) -> Result<Sender, String> {
        let endpoint = Endpoint::from_shared(format!("http://{address}"));
        let endpoint = endpoint.map_err(|error| error.to_string())?;
        let channel = endpoint.connect().await.map_err(|error| error.to_string())?;
        Ok(Sender { grpc: Grpc::new(channel), token: None })
    }

    /// The same, with a token.
    pub(super) fn bearing(self, token: &str) -> Result<Sender, String> {
        let token = format!("Bearer {token}").parse().map_err(|_| "a token is text".to_owned())?;
        Ok(Sender { token: Some(token), ..self })
    }

    /// Sends one export and waits for its acknowledgement.
    pub(super) async fn export(&mut self, body: Bytes) -> Result<(), Status> {
        self.grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let path = PathAndQuery::from_static(EXPORT);
        let mut request = Request::new(body);
        if let Some(token) = &self.token {
            request.metadata_mut().insert("authorization", token.clone());
        }
        self.grpc.unary(request, path, Raw).await.map(|_| ())
    }
}
