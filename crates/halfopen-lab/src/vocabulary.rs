//! How the shop spells its own attributes. Every company has its own words for the same thing, so
//! the seed chooses them, and nothing can be found by knowing a name beforehand.

use crate::chance::Chance;
use crate::order::Tender;

/// The names that one run uses.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Vocabulary {
    /// The attribute that says how an order is paid.
    pub(crate) method: &'static str,
    /// Its values: card, gift card, wallet, invoice.
    pub(crate) methods: [&'static str; 4],
    /// The attribute that says which brand a gift card is of.
    pub(crate) brand: &'static str,
    /// The attribute that says which tenant (a shop of the platform) the customer buys from.
    pub(crate) tenant: &'static str,
    /// The attribute that says how good a customer is.
    pub(crate) tier: &'static str,
    /// The attribute of a feature flag that has nothing to do with anything.
    pub(crate) flag: &'static str,
    /// The attribute with the hash of a configuration, where there is one.
    pub(crate) config: &'static str,
}

const METHOD: [&str; 6] = [
    "payment.method",
    "app.payment.method",
    "order.payment_method",
    "shop.tender.type",
    "paymentMethod",
    "checkout.pay_with",
];
const METHODS: [[&str; 4]; 5] = [
    ["card", "gift_card", "wallet", "invoice"],
    ["credit-card", "gift-card", "e-wallet", "on-account"],
    ["CARD", "GIFT_CARD", "WALLET", "INVOICE"],
    ["cc", "giftcard", "wallet", "invoice"],
    ["Card", "Voucher", "Wallet", "Invoice"],
];
const BRAND: [&str; 5] =
    ["gift_card.brand", "app.gift_card.issuer", "order.giftcard.brand", "voucher.brand", "gcBrand"];
const TENANT: [&str; 4] = ["tenant.id", "shop.tenant", "app.tenant", "merchant"];
const TIER: [&str; 4] = ["customer.tier", "app.customer.segment", "user.plan", "loyalty_level"];
const FLAG: [&str; 4] =
    ["app.flag.new_cart_page", "feature.fast_search", "flags.dark_mode", "exp_42"];
const CONFIG: [&str; 3] =
    ["config.hash", "service.config.hash", "k8s.pod.annotation.checksum/config"];

impl Vocabulary {
    /// The words of this seed.
    pub(crate) fn of_seed(seed: u64) -> Vocabulary {
        let mut chance = Chance::new(seed, "vocabulary");
        Vocabulary {
            method: chance.pick(&METHOD),
            methods: chance.pick(&METHODS),
            brand: chance.pick(&BRAND),
            tenant: chance.pick(&TENANT),
            tier: chance.pick(&TIER),
            flag: chance.pick(&FLAG),
            config: chance.pick(&CONFIG),
        }
    }

    /// The word for how an order is paid.
    pub(crate) fn method_of(&self, tender: &Tender) -> &'static str {
        let [card, gift_card, wallet, invoice] = self.methods;
        match tender {
            Tender::Card { .. } => card,
            Tender::GiftCard { .. } => gift_card,
            Tender::Wallet { .. } => wallet,
            Tender::Invoice => invoice,
        }
    }
}
