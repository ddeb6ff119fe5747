CREATE OR REPLACE FUNCTION metaxy_xxhash32(value text) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $function$
DECLARE
    bytes bytea := convert_to(value, 'UTF8');
    n int := length(bytes);
    at int := 0;
    -- 2^32 - 1
    m CONSTANT bigint := 4294967295;
    v bigint[];
    h bigint;
    x bigint;
BEGIN
    IF n >= 16 THEN
        v := ARRAY[606290984, 2246822519, 0, 1640531535];
        WHILE at + 16 <= n LOOP
            FOR i IN 1..4 LOOP
                x := get_byte(bytes, at) | (get_byte(bytes, at + 1)::bigint << 8)
                    | (get_byte(bytes, at + 2)::bigint << 16) | (get_byte(bytes, at + 3)::bigint << 24);
                x := (v[i] + (x * 51831 + (((x * 34283) & 65535) << 16))) & m;
                x := ((x << 13) | (x >> 19)) & m;
                v[i] := (x * 31153 + (((x * 40503) & 65535) << 16)) & m;
                at := at + 4;
            END LOOP;
        END LOOP;
        h := (((v[1] << 1) | (v[1] >> 31)) & m) + (((v[2] << 7) | (v[2] >> 25)) & m)
            + (((v[3] << 12) | (v[3] >> 20)) & m) + (((v[4] << 18) | (v[4] >> 14)) & m);
    ELSE
        h := 374761393;
    END IF;
    h := (h + n) & m;
    WHILE at + 4 <= n LOOP
        x := get_byte(bytes, at) | (get_byte(bytes, at + 1)::bigint << 8)
            | (get_byte(bytes, at + 2)::bigint << 16) | (get_byte(bytes, at + 3)::bigint << 24);
        h := (h + (x * 44605 + (((x * 49842) & 65535) << 16))) & m;
        h := ((h << 17) | (h >> 15)) & m;
        h := (h * 60207 + (((h * 10196) & 65535) << 16)) & m;
        at := at + 4;
    END LOOP;
    WHILE at < n LOOP
        h := (h + get_byte(bytes, at) * 374761393::bigint) & m;
        h := ((h << 11) | (h >> 21)) & m;
        h := (h * 31153 + (((h * 40503) & 65535) << 16)) & m;
        at := at + 1;
    END LOOP;
    h := h # (h >> 15);
    h := (h * 51831 + (((h * 34283) & 65535) << 16)) & m;
    h := h # (h >> 13);
    h := (h * 44605 + (((h * 49842) & 65535) << 16)) & m;
    h := h # (h >> 16);
    RETURN h::text;
END
$function$
;

-- The product of two numbers of 64 bits, of which the upper half is dropped, plus a third one.
CREATE OR REPLACE FUNCTION metaxy_xxhash64_step(a bigint, b bigint, plus bigint) RETURNS bigint
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $function$
DECLARE
    m CONSTANT bigint := 4294967295;
    al bigint := a & m;
    ah bigint := (a >> 32) & m;
    b0 bigint := b & 65535;
    b1 bigint := (b >> 16) & 65535;
    low bigint := al * b0;
    middle bigint := al * b1;
    high bigint;
BEGIN
    high := (ah * b0 & m) + ((ah * b1 & 65535) << 16)
        + (al * ((b >> 32) & 65535) & m) + ((al * ((b >> 48) & 65535) & 65535) << 16)
        + (low >> 32) + (middle >> 16) + ((plus >> 32) & m);
    low := (low & m) + ((middle & 65535) << 16) + (plus & m);
    RETURN (((high + (low >> 32)) & m) << 32) | (low & m);
END
$function$;

CREATE OR REPLACE FUNCTION metaxy_xxhash64(value text) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $function$
DECLARE
    bytes bytea := convert_to(value, 'UTF8');
    n int := length(bytes);
    at int := 0;
    p1 CONSTANT bigint := -7046029288634856825;
    p2 CONSTANT bigint := -4417276706812531889;
    p3 CONSTANT bigint := 1609587929392839161;
    p4 CONSTANT bigint := -8796714831421723037;
    p5 CONSTANT bigint := 2870177450012600261;
    v bigint[];
    h bigint;
    x bigint;
BEGIN
    IF n >= 32 THEN
        v := ARRAY[6983438078262162902, p2, 0, 7046029288634856825];
        WHILE at + 32 <= n LOOP
            FOR i IN 1..4 LOOP
                x := get_byte(bytes, at)::bigint | (get_byte(bytes, at + 1)::bigint << 8)
                    | (get_byte(bytes, at + 2)::bigint << 16) | (get_byte(bytes, at + 3)::bigint << 24)
                    | (get_byte(bytes, at + 4)::bigint << 32) | (get_byte(bytes, at + 5)::bigint << 40)
                    | (get_byte(bytes, at + 6)::bigint << 48) | (get_byte(bytes, at + 7)::bigint << 56);
                x := metaxy_xxhash64_step(x, p2, v[i]);
                v[i] := metaxy_xxhash64_step((x << 31) | ((x >> 33) & 2147483647), p1, 0);
                at := at + 8;
            END LOOP;
        END LOOP;
        h := metaxy_xxhash64_step((v[1] << 1) | ((v[1] >> 63) & 1), 1,
             metaxy_xxhash64_step((v[2] << 7) | ((v[2] >> 57) & 127), 1,
             metaxy_xxhash64_step((v[3] << 12) | ((v[3] >> 52) & 4095), 1,
                (v[4] << 18) | ((v[4] >> 46) & 262143))));
        FOR i IN 1..4 LOOP
            x := metaxy_xxhash64_step(v[i], p2, 0);
            x := metaxy_xxhash64_step((x << 31) | ((x >> 33) & 2147483647), p1, 0);
            h := metaxy_xxhash64_step(h # x, p1, p4);
        END LOOP;
    ELSE
        h := p5;
    END IF;
    h := metaxy_xxhash64_step(h, 1, n);
    WHILE at + 8 <= n LOOP
        x := get_byte(bytes, at)::bigint | (get_byte(bytes, at + 1)::bigint << 8)
            | (get_byte(bytes, at + 2)::bigint << 16) | (get_byte(bytes, at + 3)::bigint << 24)
            | (get_byte(bytes, at + 4)::bigint << 32) | (get_byte(bytes, at + 5)::bigint << 40)
            | (get_byte(bytes, at + 6)::bigint << 48) | (get_byte(bytes, at + 7)::bigint << 56);
        x := metaxy_xxhash64_step(x, p2, 0);
        h := h # metaxy_xxhash64_step((x << 31) | ((x >> 33) & 2147483647), p1, 0);
        h := metaxy_xxhash64_step((h << 27) | ((h >> 37) & 134217727), p1, p4);
        at := at + 8;
    END LOOP;
    IF at + 4 <= n THEN
        x := get_byte(bytes, at)::bigint | (get_byte(bytes, at + 1)::bigint << 8)
            | (get_byte(bytes, at + 2)::bigint << 16) | (get_byte(bytes, at + 3)::bigint << 24);
        h := h # metaxy_xxhash64_step(x, p1, 0);
        h := metaxy_xxhash64_step((h << 23) | ((h >> 41) & 8388607), p2, p3);
        at := at + 4;
    END IF;
    WHILE at < n LOOP
        h := h # metaxy_xxhash64_step(get_byte(bytes, at), p5, 0);
        h := metaxy_xxhash64_step((h << 11) | ((h >> 53) & 2047), p1, 0);
        at := at + 1;
    END LOOP;
    h := h # ((h >> 33) & 2147483647);
    h := metaxy_xxhash64_step(h, p2, 0);
    h := h # ((h >> 29) & 34359738367);
    h := metaxy_xxhash64_step(h, p3, 0);
    h := h # ((h >> 32) & 4294967295);
    RETURN CASE WHEN h < 0 THEN (h::numeric + 18446744073709551616)::text ELSE h::text END;
END
$function$
