//! The attributes that the tree itself looks at, by their numbers.

use crate::schema::online::DefinitionKind;
use crate::state::AttributeId;

/// Numbered first, so that entries come out in an order that a person would write.
pub(super) const WELL_KNOWN_NAMES: [&str; 33] = [
    "objectClass",
    "cn",
    "sn",
    "givenName",
    "displayName",
    "initials",
    "uid",
    "mail",
    "telephoneNumber",
    "mobile",
    "title",
    "o",
    "ou",
    "dc",
    "l",
    "st",
    "street",
    "postalCode",
    "c",
    "description",
    "employeeNumber",
    "manager",
    "member",
    "userPassword",
    "aci",
    "createTimestamp",
    "modifyTimestamp",
    "creatorsName",
    "modifiersName",
    "contextName",
    "replConflict",
    "replState",
    "replDeleteCSN",
];

/// Numbers of the attributes that the tree itself looks at.
#[derive(Clone, Copy, Debug)]
pub struct WellKnown {
    /// objectClass
    pub object_class: AttributeId,
    /// aci
    pub aci: AttributeId,
    /// createTimestamp
    pub create_timestamp: AttributeId,
    /// modifyTimestamp
    pub modify_timestamp: AttributeId,
    /// creatorsName
    pub creators_name: AttributeId,
    /// modifiersName
    pub modifiers_name: AttributeId,
    /// contextName: the whole DN of a suffix entry
    pub context_name: AttributeId,
    /// replConflict: what the entry lost
    pub repl_conflict: AttributeId,
    /// replState: that the entry is a phantom
    pub repl_state: AttributeId,
    /// replDeleteCSN: by which change the phantom was deleted
    pub repl_delete_csn: AttributeId,
    /// Attributes whose values are schema definitions
    pub definitions: [AttributeId; 4],
}

/// No attribute has this number.
const NOT_NUMBERED: AttributeId = AttributeId(u32::MAX);

impl Default for WellKnown {
    fn default() -> Self {
        Self {
            object_class: NOT_NUMBERED,
            aci: NOT_NUMBERED,
            create_timestamp: NOT_NUMBERED,
            modify_timestamp: NOT_NUMBERED,
            creators_name: NOT_NUMBERED,
            modifiers_name: NOT_NUMBERED,
            context_name: NOT_NUMBERED,
            repl_conflict: NOT_NUMBERED,
            repl_state: NOT_NUMBERED,
            repl_delete_csn: NOT_NUMBERED,
            definitions: [NOT_NUMBERED; 4],
        }
    }
}

impl WellKnown {
    /// Attributes of the state that the view shows in another way.
    pub fn is_hidden(&self, id: AttributeId) -> bool {
        id == self.create_timestamp || id == self.modify_timestamp || id == self.context_name
    }

    pub(super) fn note(&mut self, oid: &str, id: AttributeId) {
        match oid {
            "2.5.4.0" => self.object_class = id,
            "2.16.840.1.113730.3.1.55" => self.aci = id,
            "2.5.18.1" => self.create_timestamp = id,
            "2.5.18.2" => self.modify_timestamp = id,
            "2.5.18.3" => self.creators_name = id,
            "2.5.18.4" => self.modifiers_name = id,
            CONTEXT_NAME_OID => self.context_name = id,
            REPL_CONFLICT_OID => self.repl_conflict = id,
            REPL_STATE_OID => self.repl_state = id,
            REPL_DELETE_CSN_OID => self.repl_delete_csn = id,
            _ => {
                let places = self.definitions.iter_mut().zip(DefinitionKind::ALL);
                for (place, _) in places.filter(|(_, kind)| kind.oid() == oid) {
                    *place = id;
                }
            }
        }
    }
}

/// The attribute that keeps the whole DN of a suffix entry (schema/entente.ldif).
const CONTEXT_NAME_OID: &str = "2.25.226734431000227364254570923804739913085.1.4";
/// What the view says of conflicts (schema/entente.ldif).
const REPL_CONFLICT_OID: &str = "2.25.226734431000227364254570923804739913085.1.3";
const REPL_STATE_OID: &str = "2.25.226734431000227364254570923804739913085.1.60";
const REPL_DELETE_CSN_OID: &str = "2.25.226734431000227364254570923804739913085.1.61";
