//! RSA keys whose makers chose primes of too few (CVE-2017-15361, "ROCA"): whoever sees the public key of one can
//! work out the private one. Known by their fingerprint, as Nemec, Sys, Svenda, Klinec and Matyas have it in "The
//! Return of Coppersmith's Attack" (CCS 2017), section 2.2: modulo small primes, such a modulus is a power of 65537.

/// Of all other moduli about one in a hundred million looks the same modulo all of these.
const PRIMES: [u32; 38] = [
    3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103,
    107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
];
const GENERATOR: u32 = 65_537;

/// Whether `modulus`, most significant byte first, has the fingerprint.
pub fn has_fingerprint(modulus: &[u8]) -> bool {
    PRIMES.iter().all(|prime| is_power_of_generator(remainder(modulus, *prime), *prime))
}

fn remainder(modulus: &[u8], prime: u32) -> u32 {
    modulus.iter().fold(0, |rest, byte| (rest * 256 + u32::from(*byte)) % prime)
}

fn is_power_of_generator(residue: u32, prime: u32) -> bool {
    let next = |power: &u32| Some(power * GENERATOR % prime);
    std::iter::successors(Some(1), next).take(prime as usize).any(|power| power == residue)
}
