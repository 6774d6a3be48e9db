#!/usr/bin/perl
# A segmenter in another language than Python: label 1 within the range of brightness whose Dice was best in training.
use strict; use warnings;
my $verb = shift @ARGV; my %o = map { s/^--//r } @ARGV;
sub volume { open my $f, '-|', 'gzip', '-dc', shift or die $!; binmode $f; local $/; my $v = <$f>; close $f or die; $v }
if ($verb eq 'fit') {
    my ($cases, $best, $low, $high, $all, @inside, @voxels) = (0, -1, 0, 0, 0);
    for my $label (map { glob "$_/labelsTr/*.nii.gz" } grep { defined } @o{'train', 'synthetic'}) {
        my @label = unpack 'x352 C*', volume($label);    # voxels begin at byte 352: bytes here, floats in images
        my @image = unpack 'x352 f<*', volume($label =~ s/labelsTr/imagesTr/r =~ s/\.nii\.gz$/_0000.nii.gz/r);
        $image[$_] >= 0 and $voxels[$image[$_]]++, $inside[$image[$_]] += $label[$_] ? 1 : 0 for 0 .. $#label;
        $all += grep { $_ } @label; $cases++;
    }
    for my $from (0 .. $#voxels) {
        for (my ($to, $in, $of) = ($from, 0, $all); $to <= $#voxels; $to++) {
            $in += $inside[$to] // 0; $of += $voxels[$to] // 0;
            ($best, $low, $high) = ($in / $of, $from, $to + 1) if $of && $in / $of > $best;
        }
    }
    open my $f, '>', "$o{out}/model.json" or die $!;
    print $f qq({"steps": $o{steps}, "seed": $o{seed}, "cases": $cases, "version": "1", "range": [$low, $high]}\n);
} else {
    open my $f, '<', "$o{model}/model.json" or die $!; my ($low, $high) = <$f> =~ /"range": \[(\d+), (\d+)/;
    for my $scan (glob "$o{scans}/imagesTs/*_0000.nii.gz") {
        my $v = volume($scan); substr($v, 70, 4) = pack 's<s<', 2, 8;    # the same header, of bytes
        open my $g, '|-', 'gzip > ' . ($scan =~ s{.*/(.*)_0000}{'$o{out}'/$1}r) or die $!; binmode $g;
        print $g substr($v, 0, 352), pack 'C*', map { $_ >= $low && $_ < $high } unpack 'x352 f<*', $v; close $g or die;
    }
}
