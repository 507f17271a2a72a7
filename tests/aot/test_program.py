"""Operations, bytes and loops read from a program's text, against counts by hand."""

from jaxopt_notes.aot import program

TEXT = """HloModule f, is_scheduled=true

%taken (a: u8[60000,4], b: s32[2]) -> f32[2,4] {
  %a = u8[60000,4]{1,0} parameter(0)
  %b = s32[2]{0} parameter(1)
  %g = u8[2,4]{1,0} gather(%a, %b), offset_dims={1}
  ROOT %c = f32[2,4]{1,0} convert(%g)
}

%body (t: (s32[], f32[8])) -> (s32[], f32[8]) {
  %t = (s32[], f32[8]{0}) parameter(0)
  %i = s32[] get-tuple-element(%t), index=0
  %x = f32[8]{0} get-tuple-element(%t), index=1
  %y = f32[8]{0} copy(%x)
  ROOT %r = (s32[], f32[8]{0}) tuple(%i, %y)
}

ENTRY %main (a: u8[60000,4], b: s32[2]) -> f32[2,4] {
  %a.1 = u8[60000,4]{1,0} parameter(0)
  %b.1 = s32[2]{0} parameter(1)
  %w = (s32[], f32[8]{0}) while(%z), condition=%cond, body=%body, \
backend_config={"known_trip_count":{"n":"7"}}
  %conv = (f32[2,4]{1,0}, u8[0]{0}) custom-call(%b.1), custom_call_target="__cudnn$convForward"
  ROOT %fusion = f32[2,4]{1,0} fusion(%a.1, %b.1), kind=kLoop, calls=%taken, \
metadata={op_name="jit(f)/gather"}
}
"""


def test_a_fusion_that_gathers_moves_what_it_takes():
    conv, fusion = program.operations(TEXT)
    assert (conv.kind, conv.bytes) == ("cuDNN", 8 + 32)
    assert (fusion.kind, fusion.source) == ("fusion", "jit(f)/gather")
    assert fusion.bytes == 2 * 4 + 8 + 32  # of the 240,000 bytes, two rows


def test_a_loop_has_its_own_operations_and_its_length():
    assert program.by_kind(program.operations(TEXT, loop=True)) == {"copy": (1, 64)}
    assert program.trip_count(TEXT) == 7
    assert program.trip_count(TEXT.replace("known_trip_count", "other")) is None


def test_a_tile_pads_the_two_axes_that_vary_fastest():
    text = "ENTRY %f () -> f32[4,9,1] {\n  %a = f32[4,9,1]{1,0,2:T(8,128)} add(%b, %c)\n}"
    assert program.padding(text) == (4 * 36, 4 * 8 * 128)
