//! The component model's value encoding, as far as the shims need it: numbers as unsigned LEB128, strings and lists with
//! their length before them, options and results as a byte, fields and elements one after another.

/// Why bytes are not what they were said to be.
#[derive(Debug, PartialEq)]
pub struct Malformed(pub &'static str);

type Read<T> = Result<T, Malformed>;

/// Reads values from the front of bytes.
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Reader(bytes)
    }

    /// Reads one value that is all there is.
    pub fn all<T>(bytes: &'a [u8], read: impl FnOnce(&mut Self) -> Read<T>) -> Read<T> {
        let mut r = Reader::new(bytes);
        let value = read(&mut r)?;
        if r.0.is_empty() {
            Ok(value)
        } else {
            Err(Malformed("there is more behind the value"))
        }
    }

    pub fn byte(&mut self) -> Read<u8> {
        let (&first, rest) = self
            .0
            .split_first()
            .ok_or(Malformed("the value is cut off"))?;
        self.0 = rest;
        Ok(first)
    }

    pub fn u64(&mut self) -> Read<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let part = u64::from(byte & 0x7f);
            if shift == 63 && part > 1 {
                return Err(Malformed("a number has more than 64 bits"));
            }
            value |= part << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed("a number has more than 64 bits"))
    }

    pub fn u32(&mut self) -> Read<u32> {
        self.u64()?
            .try_into()
            .map_err(|_| Malformed("a number has more than 32 bits"))
    }

    pub fn bytes(&mut self) -> Read<&'a [u8]> {
        let n = usize::try_from(self.u64()?).unwrap_or(usize::MAX);
        if n > self.0.len() {
            return Err(Malformed("the value is cut off"));
        }
        let (bytes, rest) = self.0.split_at(n);
        self.0 = rest;
        Ok(bytes)
    }

    pub fn string(&mut self) -> Read<String> {
        match std::str::from_utf8(self.bytes()?) {
            Ok(text) => Ok(text.to_owned()),
            Err(_) => Err(Malformed("a string is not UTF-8")),
        }
    }

    pub fn flag(&mut self) -> Read<bool> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed("a byte is neither 0 nor 1")),
        }
    }

    pub fn option<T>(&mut self, read: impl FnOnce(&mut Self) -> Read<T>) -> Read<Option<T>> {
        Ok(if self.flag()? {
            Some(read(self)?)
        } else {
            None
        })
    }

    pub fn result<T, E>(
        &mut self,
        ok: impl FnOnce(&mut Self) -> Read<T>,
        err: impl FnOnce(&mut Self) -> Read<E>,
    ) -> Read<Result<T, E>> {
        Ok(if self.flag()? {
            Err(err(self)?)
        } else {
            Ok(ok(self)?)
        })
    }

    pub fn list<T>(&mut self, mut read: impl FnMut(&mut Self) -> Read<T>) -> Read<Vec<T>> {
        let n = self.u64()?;
        // An element takes a byte at least, so a false count costs no memory.
        if n > self.0.len() as u64 {
            return Err(Malformed("the value is cut off"));
        }
        let mut list = Vec::with_capacity((n as usize).min(4096));
        for _ in 0..n {
            list.push(read(self)?);
        }
        Ok(list)
    }
}

pub fn put_u64(to: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        to.push(value as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}

pub fn put_bytes(to: &mut Vec<u8>, bytes: &[u8]) {
    put_u64(to, bytes.len() as u64);
    to.extend_from_slice(bytes);
}

pub fn put_option<T>(to: &mut Vec<u8>, value: &Option<T>, put: impl FnOnce(&mut Vec<u8>, &T)) {
    to.push(u8::from(value.is_some()));
    if let Some(value) = value {
        put(to, value);
    }
}

pub fn put_list<T>(to: &mut Vec<u8>, list: &[T], mut put: impl FnMut(&mut Vec<u8>, &T)) {
    put_u64(to, list.len() as u64);
    for element in list {
        put(to, element);
    }
}

pub fn put_result<T, E>(
    to: &mut Vec<u8>,
    result: &Result<T, E>,
    ok: impl FnOnce(&mut Vec<u8>, &T),
    err: impl FnOnce(&mut Vec<u8>, &E),
) {
    match result {
        Ok(value) => {
            to.push(0);
            ok(to, value);
        }
        Err(error) => {
            to.push(1);
            err(to, error);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back() {
        for value in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX] {
            let mut bytes = vec![];
            put_u64(&mut bytes, value);
            assert_eq!(Reader::all(&bytes, |r| r.u64()), Ok(value));
        }
    }

    #[test]
    fn malformed_values_are_refused() {
        assert!(Reader::all(&[0x80; 10], |r| r.u64()).is_err());
        assert!(Reader::all(
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2],
            |r| r.u64()
        )
        .is_err());
        assert!(Reader::all(&[0xff, 0xff, 0xff, 0xff, 0x1f], |r| r.u32()).is_err());
        assert!(Reader::all(&[3, b'a'], |r| r.string()).is_err());
        assert!(Reader::all(&[1, 0xff], |r| r.string()).is_err());
        assert!(Reader::all(&[2], |r| r.flag()).is_err());
        assert!(Reader::all(&[0, 0], |r| r.flag()).is_err());
        assert!(Reader::all(&[0xff, 0xff, 0xff, 0xff, 0x0f], |r| r.list(|r| r.byte())).is_err());
    }

    #[test]
    fn options_results_and_lists_come_back() {
        let value: Vec<Result<Option<String>, u8>> = vec![Ok(None), Ok(Some("a".into())), Err(7)];
        let mut bytes = vec![];
        put_list(&mut bytes, &value, |to, element| {
            put_result(
                to,
                element,
                |to, some| put_option(to, some, |to, s| put_bytes(to, s.as_bytes())),
                |to, e| to.push(*e),
            )
        });
        let back = Reader::all(&bytes, |r| {
            r.list(|r| r.result(|r| r.option(|r| r.string()), |r| r.byte()))
        });
        assert_eq!(back, Ok(value));
    }
}
