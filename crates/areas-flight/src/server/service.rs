//! The calls of Flight: what is listed, described and sent.

use std::sync::Arc;

use areas::{Error, ErrorKind, Name};
use arrow_flight::flight_descriptor::DescriptorType;
use arrow_flight::flight_service_server::FlightService;
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightEndpoint, FlightInfo,
    HandshakeRequest, HandshakeResponse, PollInfo, PutResult, SchemaResult, Ticket as FlightTicket,
};
use tonic::{Request, Response, Status, Streaming, async_trait};

use super::allow::{Offer, Opened};
use super::stream::{Listed, Messages, Nothing};
use crate::failure::to_status;
use crate::ipc;
use crate::wire::{self, Ask, Form, Ticket};

/// Answers the calls.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    offer: Arc<Offer>,
}

impl Service {
    pub(crate) fn new(offer: Arc<Offer>) -> Self {
        Service { offer }
    }

    /// What a ticket is for, as it came.
    pub(crate) async fn messages(&self, ticket: &[u8]) -> Result<Messages, Status> {
        let ticket: Option<Ticket> = wire::decode(ticket);
        let find = move |offer: &Offer| {
            let ticket = ticket.ok_or_else(|| unknown("a ticket", "tickets are those of `GetFlightInfo`"))?;
            messages(offer, &ticket)
        };
        self.apart(find).await
    }

    /// Does what asks the kernel, or reads much memory, where it holds up no other call.
    async fn apart<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Offer) -> areas::Result<T> + Send + 'static,
    ) -> Result<T, Status> {
        let offer = Arc::clone(&self.offer);
        match tokio::task::spawn_blocking(move || work(&offer)).await {
            Ok(done) => done.map_err(|error| to_status(&error)),
            Err(_) => Err(Status::internal("the server failed at this; its own output says how")),
        }
    }
}

/// Which area a descriptor means, and in which form.
fn asked(descriptor: &FlightDescriptor) -> areas::Result<(Name, Option<Form>)> {
    match DescriptorType::try_from(descriptor.r#type) {
        Ok(DescriptorType::Path) => Ok((Name::new(descriptor.path.join("/").as_bytes())?, None)),
        Ok(DescriptorType::Cmd) => {
            let ask: Option<Ask> = wire::decode(&descriptor.cmd);
            let ask = ask.ok_or_else(|| unknown("a command", "ask by a path: the area's name"))?;
            Ok((ask.name()?, Some(Form::Bytes)))
        }
        _ => Err(unknown("a descriptor", "ask by a path: the area's name")),
    }
}

fn unknown(what: &str, help: &'static str) -> Error {
    Error::new(ErrorKind::InvalidInput, format!("understand {what}"))
        .with_facts("it is none of this server's")
        .with_remedy(help)
}

fn info(
    offer: &Offer,
    opened: &Opened,
    form: Option<Form>,
    with_checksum: bool,
) -> areas::Result<FlightInfo> {
    let size = opened.bytes.len() as u64;
    let table = opened.table.as_ref().filter(|_| form.is_none());
    let form = if table.is_some() { Form::Table } else { Form::Bytes };
    let ticket = Ticket::new(opened.info.id.get(), opened.info.object, form, 0, size);
    let name = String::from_utf8_lossy(opened.info.name.as_bytes()).into_owned();
    let endpoint = FlightEndpoint::new().with_ticket(FlightTicket::new(wire::encode(&ticket)));
    let info = FlightInfo::new()
        .with_descriptor(FlightDescriptor::new_path(vec![name]))
        .with_endpoint(endpoint)
        .with_ordered(true)
        .with_total_bytes(i64::try_from(size).unwrap_or(-1))
        .with_app_metadata(wire::encode(&offer.offered(opened, with_checksum)));
    match table {
        Some(table) => {
            let mut info = info.with_total_records(table.rows);
            info.schema = table.schema(&opened.bytes);
            Ok(info)
        }
        None => info
            .with_total_records(i64::try_from(size).unwrap_or(-1))
            .try_with_schema(&schema(opened))
            .map_err(|error| Error::new(ErrorKind::Unsupported, "write a schema").caused_by(error)),
    }
}

fn schema(opened: &Opened) -> arrow_schema::Schema {
    let name = String::from_utf8_lossy(opened.info.name.as_bytes());
    let note = String::from_utf8_lossy(opened.info.note.as_bytes());
    ipc::schema_of_bytes(&name, Some(&*note).filter(|note| !note.is_empty()))
}

/// What a ticket is for.
fn messages(offer: &Offer, ticket: &Ticket) -> areas::Result<Messages> {
    let opened = offer.open_ticket(ticket)?;
    match (ticket.form, &opened.table) {
        (Form::Table, Some(table)) => {
            Ok(Messages::Table { bytes: opened.bytes, table: Arc::clone(table), at: 0 })
        }
        (Form::Table, None) => {
            Err(unknown("a ticket", "there is no table in that area: ask for its `FlightInfo` again"))
        }
        (Form::Bytes, _) => {
            let range = usize::try_from(ticket.from).ok().zip(usize::try_from(ticket.to).ok());
            let range = range.filter(|(from, to)| from <= to && *to <= opened.bytes.len());
            let (from, to) = range.ok_or_else(|| {
                Error::new(
                    ErrorKind::OutOfRange,
                    format!("send bytes {} to {} of area {}", ticket.from, ticket.to, ticket.id),
                )
                .with_facts(format!("it has {}", opened.bytes.len()))
            })?;
            let schema = Some(ipc::schema_message(&schema(&opened)));
            Ok(Messages::Bytes { schema, left: opened.bytes.slice(from..to) })
        }
    }
}

fn no_such_call(what: &str) -> Status {
    Status::unimplemented(format!(
        "this server has no {what}: it serves frozen areas (ListFlights, GetFlightInfo, GetSchema, DoGet)"
    ))
}

#[async_trait]
impl FlightService for Service {
    type HandshakeStream = Nothing<HandshakeResponse>;
    type ListFlightsStream = Listed<FlightInfo>;
    type DoGetStream = Nothing<FlightData>;
    type DoPutStream = Nothing<PutResult>;
    type DoExchangeStream = Nothing<FlightData>;
    type DoActionStream = Nothing<arrow_flight::Result>;
    type ListActionsStream = Listed<ActionType>;

    async fn list_flights(&self, _: Request<Criteria>) -> Result<Response<Self::ListFlightsStream>, Status> {
        let list = |offer: &Offer| {
            offer
                .list()?
                .iter()
                .map(|opened| info(offer, opened, None, false))
                .collect::<areas::Result<Vec<_>>>()
        };
        Ok(Response::new(Listed(self.apart(list).await?.into_iter())))
    }

    async fn get_flight_info(
        &self,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let descriptor = request.into_inner();
        let find = move |offer: &Offer| {
            let (name, form) = asked(&descriptor)?;
            let mut info = info(offer, &offer.open(&name)?, form, true)?;
            info.flight_descriptor = Some(descriptor);
            Ok(info)
        };
        self.apart(find).await.map(Response::new)
    }

    async fn get_schema(&self, request: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        let descriptor = request.into_inner();
        let find = move |offer: &Offer| {
            let (name, form) = asked(&descriptor)?;
            Ok(SchemaResult { schema: info(offer, &offer.open(&name)?, form, false)?.schema })
        };
        self.apart(find).await.map(Response::new)
    }

    async fn do_get(&self, _: Request<FlightTicket>) -> Result<Response<Self::DoGetStream>, Status> {
        // `get.rs` answers it before it comes here.
        Err(Status::internal("DoGet is not answered by tonic here"))
    }

    async fn list_actions(&self, _: Request<Empty>) -> Result<Response<Self::ListActionsStream>, Status> {
        Ok(Response::new(Listed(Vec::new().into_iter())))
    }

    async fn handshake(
        &self,
        _: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Self::HandshakeStream>, Status> {
        Err(no_such_call(
            "Handshake (the token goes with each call, in the header `authorization: Bearer …`)",
        ))
    }

    async fn poll_flight_info(&self, _: Request<FlightDescriptor>) -> Result<Response<PollInfo>, Status> {
        Err(no_such_call("PollFlightInfo"))
    }

    async fn do_put(&self, _: Request<Streaming<FlightData>>) -> Result<Response<Self::DoPutStream>, Status> {
        Err(no_such_call("DoPut"))
    }

    async fn do_exchange(
        &self,
        _: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoExchangeStream>, Status> {
        Err(no_such_call("DoExchange"))
    }

    async fn do_action(&self, _: Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
        Err(no_such_call("DoAction"))
    }
}
