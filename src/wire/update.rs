//! ModifyRequest, AddRequest and ModifyDNRequest (RFC 4511 4.6, 4.7, 4.9).

use crate::model::ModificationKind;

use super::ber::{self, Reader};
use super::error::Malformed;
use super::request::{
    AddRequest, AttributeRequest, ModificationRequest, ModifyDnRequest, ModifyRequest, attribute_text, dn_text,
};

/// Most modifications of one modify.
pub const MODIFICATIONS_MAX: usize = 65_536;

/// Most attributes of one add: every type of a large schema fits, options and repetitions too.
pub const ADD_ATTRIBUTES_MAX: usize = 16_384;

/// Most values in one add or modify: a group of a million members.
pub const VALUES_MAX: usize = 1_048_576;

/// Counts values over a whole request.
struct ValuesLeft(usize);

impl ValuesLeft {
    /// A SET OF values.
    fn values<'a>(&mut self, mut reader: Reader<'a>) -> Result<Vec<&'a [u8]>, Malformed> {
        let mut values = Vec::new();
        while !reader.is_empty() {
            values.push(reader.octets()?);
            if values.len() > self.0 {
                return Err(Malformed::protocol(format!("more than {VALUES_MAX} values in one request")));
            }
        }
        self.0 = self.0.saturating_sub(values.len());
        Ok(values)
    }
}

pub(super) fn decode_modify(mut reader: Reader<'_>) -> Result<ModifyRequest<'_>, Malformed> {
    let dn = reader.octets()?;
    let mut list = reader.enter(ber::SEQUENCE)?;
    reader.finish_extensible(0)?;
    let mut left = ValuesLeft(VALUES_MAX);
    let mut modifications = Vec::new();
    while !list.is_empty() {
        if modifications.len() == MODIFICATIONS_MAX {
            return Err(Malformed::protocol(format!("more than {MODIFICATIONS_MAX} modifications in one request")));
        }
        modifications.push(decode_modification(list.enter(ber::SEQUENCE)?, &mut left)?);
    }
    Ok(ModifyRequest { dn: dn_text(dn)?, modifications })
}

fn decode_modification<'a>(
    mut reader: Reader<'a>,
    left: &mut ValuesLeft,
) -> Result<ModificationRequest<'a>, Malformed> {
    let kind = reader.enumerated()?;
    let mut partial_attribute = reader.enter(ber::SEQUENCE)?;
    reader.finish_extensible(0)?;
    let attribute = partial_attribute.octets()?;
    let values = left.values(partial_attribute.enter(ber::SET)?)?;
    partial_attribute.finish_extensible(0)?;
    let kind = u32::try_from(kind)
        .ok()
        .and_then(ModificationKind::from_number)
        .ok_or_else(|| Malformed::protocol(format!("modification {kind} is not known")))?;
    match (kind, values.len()) {
        (ModificationKind::Add, 0) => Err(Malformed::protocol("an add without values")),
        (ModificationKind::Increment, count) if count != 1 => {
            Err(Malformed::protocol(format!("an increment by {count} values; it takes one (RFC 4525 3)")))
        }
        _ => Ok(ModificationRequest { kind, attribute: attribute_text(attribute)?, values }),
    }
}

pub(super) fn decode_add(mut reader: Reader<'_>) -> Result<AddRequest<'_>, Malformed> {
    let dn = reader.octets()?;
    let mut list = reader.enter(ber::SEQUENCE)?;
    reader.finish_extensible(0)?;
    let mut left = ValuesLeft(VALUES_MAX);
    let mut attributes = Vec::new();
    while !list.is_empty() {
        if attributes.len() == ADD_ATTRIBUTES_MAX {
            return Err(Malformed::protocol(format!("more than {ADD_ATTRIBUTES_MAX} attributes in one entry")));
        }
        let mut item = list.enter(ber::SEQUENCE)?;
        let attribute = item.octets()?;
        let values = left.values(item.enter(ber::SET)?)?;
        item.finish_extensible(0)?;
        let attribute = attribute_text(attribute)?;
        if values.is_empty() {
            return Err(Malformed::protocol("an attribute without values"));
        }
        attributes.push(AttributeRequest { attribute, values });
    }
    Ok(AddRequest { dn: dn_text(dn)?, attributes })
}

pub(super) fn decode_modify_dn(mut reader: Reader<'_>) -> Result<ModifyDnRequest<'_>, Malformed> {
    let dn = reader.octets()?;
    let new_rdn = reader.octets()?;
    let delete_old_rdn = reader.boolean()?;
    let new_superior = reader.optional(ber::context(0))?;
    reader.finish_extensible(1)?;
    Ok(ModifyDnRequest {
        dn: dn_text(dn)?,
        new_rdn: dn_text(new_rdn)?,
        delete_old_rdn,
        new_superior: new_superior.map(dn_text).transpose()?,
    })
}
